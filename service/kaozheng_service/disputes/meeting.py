"""Which segments of a camera meet a range: found by index, however many millions there are."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, text

from kaozheng_service.database import LONG_SEGMENT, LONGEST_SEGMENT_S, Segment

LONGEST = timedelta(seconds=LONGEST_SEGMENT_S)


def meeting(room_id: str, camera_id: str, starts_at: datetime, ends_at: datetime) -> ColumnElement[bool]:
    """Segments of a camera that hold any moment of ``starts_at`` to ``ends_at``.

    Those of the usual length begin at most ``LONGEST`` before the range; the few longer ones are asked for by an index
    that holds them alone. Together they are exactly those that begin before the end and end after the begin.
    """
    here = Segment.room_id == room_id, Segment.camera_id == camera_id
    touching = Segment.starts_at < ends_at, Segment.ends_at > starts_at
    return or_(
        and_(*here, *touching, Segment.starts_at >= starts_at - LONGEST),
        and_(*here, *touching, text(LONG_SEGMENT)),
    )
