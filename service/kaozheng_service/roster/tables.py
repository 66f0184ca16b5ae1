"""The rows of rosters and draw lists. What a later list says stands beside what an earlier one said."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from kaozheng_service.database import Base


class RosterImport(Base):
    """One file that was taken over: its ``sha256``, and ``rows_sha256`` over what came of it. ``by`` did it."""

    __tablename__ = "roster_imports"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    by: Mapped[str]
    file: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    rows: Mapped[int]
    rows_sha256: Mapped[str]
    leaf: Mapped[int | None]


class RosterEntry(Base):
    """A candidate in a window. ``seat`` is None where the list gives none; ``seated_at`` is from when on, None for all
    of the window. ``name`` is sealed and ``name_index`` its blind index; both "" where no name was given.
    """

    __tablename__ = "roster_entries"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("roster_imports.id"), index=True)
    window_id: Mapped[str] = mapped_column(ForeignKey("windows.id"), index=True)
    candidate: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    name_index: Mapped[str] = mapped_column(index=True)
    seat: Mapped[str | None]
    seated_at: Mapped[datetime | None]
