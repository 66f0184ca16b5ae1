"""The rows of cases, holds and views. Each has the leaf of its record; what happened is never changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kaozheng_service.database import Base


class CaseStep(Base):
    """One step of a case, by whom; ``number`` from 1 in its case. A case is its steps and nothing else.

    ``facts`` is the JSON of a step of ``steps.py``. ``room_id`` is the opening's, "" for other steps.
    """

    __tablename__ = "case_steps"
    __table_args__ = (UniqueConstraint("case_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[str] = mapped_column(index=True)
    number: Mapped[int]
    step: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    account: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    console: Mapped[bool]
    facts: Mapped[str]
    room_id: Mapped[str] = mapped_column(index=True)
    leaf: Mapped[int | None] = mapped_column(index=True)


class Hold(Base):
    """A range of a room that may not be deleted; of all cameras where ``camera_ids`` is "". ``case_id`` may be ""."""

    __tablename__ = "holds"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    case_id: Mapped[str] = mapped_column(index=True)
    room_id: Mapped[str] = mapped_column(index=True)
    camera_ids: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str]
    placed_at: Mapped[datetime]
    placed_by: Mapped[str]
    leaf: Mapped[int | None]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None]
    release_reason: Mapped[str | None]
    released_leaf: Mapped[int | None]


class View(Base):
    """A look at footage: the access register (查阅记录)."""

    __tablename__ = "views"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    account: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    room_id: Mapped[str]
    camera_ids: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    case_id: Mapped[str] = mapped_column(index=True)
    why: Mapped[str]
    leaf: Mapped[int | None]
