"""Time at the border: aware UTC inside, a site's own zone outside."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def now() -> datetime:
    """The present moment, aware, UTC."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: ``2024-11-23T01:00:00.000Z``; the one form of a time in records and JSON."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """The moment that :func:`to_text` wrote; ValueError if it is not one or carries no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def moments_of(wall: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """The moments at which clocks in ``zone`` show ``wall``: one; none or two about a clock change. Aware, in zone."""
    earlier, later = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if earlier.utcoffset() == later.utcoffset():
        return (earlier,)
    if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        return ()
    return earlier, later
