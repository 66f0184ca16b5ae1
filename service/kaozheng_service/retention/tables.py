"""The rows of deletions: what was approved to be deleted, by whom, and what became of each file."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kaozheng_service.database import Base


class Deletion(Base):
    """A list of files of one batch that may go once it is approved. ``items_sha256`` is over the list."""

    __tablename__ = "deletions"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    batch: Mapped[str] = mapped_column(index=True)
    due_on: Mapped[date]
    listed_at: Mapped[datetime]
    files: Mapped[int]
    bytes: Mapped[int]
    items_sha256: Mapped[str]


class DeletionItem(Base):
    """A file of a deletion. ``leaf`` is its tombstone once it is gone; ``backfilled`` tells which table it is of."""

    __tablename__ = "deletion_items"
    __table_args__ = (UniqueConstraint("deletion_id", "path"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    deletion_id: Mapped[str] = mapped_column(ForeignKey("deletions.id"), index=True)
    segment_id: Mapped[int]
    backfilled: Mapped[bool]
    path: Mapped[str]
    bytes: Mapped[int]
    leaf: Mapped[int | None]


class DeletionApproval(Base):
    """One of the two approvals."""

    __tablename__ = "deletion_approvals"
    __table_args__ = (UniqueConstraint("deletion_id", "account"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    deletion_id: Mapped[str] = mapped_column(ForeignKey("deletions.id"), index=True)
    account: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    console: Mapped[bool]
    at: Mapped[datetime]
    leaf: Mapped[int | None]
