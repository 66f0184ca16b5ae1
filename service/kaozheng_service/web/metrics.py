"""Numbers for Prometheus, made from the heartbeat and the database at each scrape; the daemon is not asked.

Labels are bounded: rooms and cameras of the site file, causes of gaps and kinds of alarms that the code knows.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kaozheng_vision.diagnose import Fault
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from kaozheng_service.alarms.kinds import AlarmKind
from kaozheng_service.clock import from_text
from kaozheng_service.database import Alarm, AlarmMessage, Gap, Segment, Window
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.forecast import forecast_disk
from kaozheng_service.second.keeper import second_status
from kaozheng_service.station import Station
from kaozheng_service.web.daemon import heartbeat

CAMERA = ["room", "camera"]
_ALARM_KINDS = tuple(kind.value for kind in (*AlarmKind, *Fault))


class Metrics:
    """For any thread. Counts segments and gaps once, then only those that came since."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._alone = threading.Lock()
        self._last_segment = self._last_gap = 0
        self._bytes: dict[tuple[str, str], int] = defaultdict(int)
        self._segments: dict[tuple[str, str], int] = defaultdict(int)
        self._gap_s: dict[tuple[str, str, str], float] = defaultdict(float)
        self._cameras = [(room.id, camera.id) for room in station.site.rooms for camera in room.streams]

    def text(self, present: datetime) -> bytes:
        """All numbers, in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(_Once([*self._of_cameras(present), *self._of_site(present)]))
        return generate_latest(registry)

    def _of_cameras(self, present: datetime) -> Iterator[Metric]:
        beat = heartbeat(self._station) or {}
        age_s = (present - from_text(beat["at"])).total_seconds() if "at" in beat else None
        due = {(one["room"], one["camera"]): one for one in beat.get("cameras", [])}
        growing: dict[tuple[str, str], int] = defaultdict(int)
        for one in beat.get("recording", []):
            growing[self._room_of(one["camera"], one["window"], beat), one["camera"]] += one["bytes"]
        with self._alone:
            with self._station.sessions() as session:
                self._count(session)
            recorded, closed, missing = dict(self._bytes), dict(self._segments), dict(self._gap_s)
        expected = _gauge("camera_expected", "1 while this camera should be recorded", CAMERA)
        up = _gauge("camera_recording", "1 while footage of this camera comes", CAMERA)
        silence = _gauge(
            "camera_last_fragment_age_seconds", "since footage came last, while it is expected", CAMERA
        )
        total = _counter("camera_recorded_bytes", "bytes of all closed segments", CAMERA)
        writing = _gauge("camera_open_segment_bytes", "bytes of the segment that is being written", CAMERA)
        count = _counter("camera_segments_closed", "segments closed, hashed and logged", CAMERA)
        for key in self._cameras:
            one = due.get(key)
            expected.add_metric(key, float(one is not None))
            up.add_metric(key, float(one is not None and one["flows"]))
            if one is not None and one["silent_s"] is not None:
                silence.add_metric(key, one["silent_s"] + (age_s or 0.0))
            total.add_metric(key, recorded.get(key, 0))
            writing.add_metric(key, growing.get(key, 0))
            count.add_metric(key, closed.get(key, 0))
        gaps = _counter(
            "camera_gap_seconds", "seconds that are signed as missing, by cause", [*CAMERA, "cause"]
        )
        known = set(self._cameras)
        for (room, camera, cause), seconds in sorted(missing.items()):
            if (room, camera) in known:
                gaps.add_metric([room, camera, cause], seconds)
        yield from (expected, up, silence, total, writing, count, gaps)

    def _of_site(self, present: datetime) -> Iterator[Metric]:
        beat = heartbeat(self._station)
        yield _one("up", "1: this process answers", 1.0)
        if beat is not None:
            age_s = (present - from_text(beat["at"])).total_seconds()
            yield _one("heartbeat_age_seconds", "since the recording daemon beat last", max(age_s, 0.0))
            yield _one("free_bytes", "free space of the archive", beat["free_bytes"])
            yield _one("disk_low", "1 while the reserve is touched", float(beat["disk_low"]))
            outlook = forecast_disk(self._station, present, free_bytes=beat["free_bytes"])
            needed = outlook.needed_bytes
            yield _one("disk_forecast_needed_bytes", "what windows of the next days still need", needed)
            left = "what they leave above the reserve; below 0 they do not fit"
            yield _one("disk_forecast_left_bytes", left, outlook.left_bytes)
            if "tick_s" in beat:
                yield _one("tick_seconds", "how long the recording loop's last round took", beat["tick_s"])
                errors = _counter("signing_errors", "records that could not be written, since the start", [])
                errors.add_metric([], beat["signing_errors"])
                yield errors
                yield _one("watch_up", "1 while pictures are judged", float(not beat["watch"]))
            yield from _of_checks(beat.get("checks"))
        second = second_status(self._station.state) if self._station.site.second is not None else None
        if second is not None:
            yield _one("second_up", "1 while the second copy is well", float(not second["trouble"]))
            yield _one("second_waiting_bytes", "footage not copied to it yet", second["waiting_bytes"])
            age_s = (present - from_text(second["at"])).total_seconds()
            yield _one("second_age_seconds", "since the copying process was heard of last", max(age_s, 0.0))
        yield _one("log_entries", "records in the evidence log", self._station.log.size)
        reserve = self._station.site.storage.reserve_gb * 1_000_000_000
        yield _one("reserve_bytes", "free space that is kept", reserve)
        with self._station.sessions() as session:
            yield from self._of_windows(session, present)
            yield from self._of_alarms(session)

    def _of_windows(self, session: Session, present: datetime) -> Iterator[Metric]:
        running = session.scalar(
            select(func.count())
            .select_from(Window)
            .where(
                Window.starts_at <= present,
                Window.ends_at > present,
                Window.closed_leaf.is_(None),
                Window.cancelled_at.is_(None),
            )
        )
        yield _one("windows_running", "windows that should be recorded now", running or 0)
        following = session.scalar(
            select(func.min(Window.starts_at)).where(
                Window.starts_at > present, Window.cancelled_at.is_(None)
            )
        )
        if following is not None:
            yield _one("next_window_timestamp_seconds", "when the next window begins", following.timestamp())

    def _of_alarms(self, session: Session) -> Iterator[Metric]:
        lasting = _counts(
            session, select(Alarm.kind, func.count()).where(Alarm.cleared_at.is_(None)).group_by(Alarm.kind)
        )
        alarms = _gauge("alarms_open", "alarms that last, by cause", ["cause"])
        for kind in _ALARM_KINDS:
            alarms.add_metric([kind], lasting.get(kind, 0))
        yield alarms
        states = _counts(session, select(AlarmMessage.state, func.count()).group_by(AlarmMessage.state))
        yield _one("alarm_messages_waiting", "messages not delivered yet", states.get("waiting", 0))
        yield _one("alarm_messages_given_up", "messages that were never taken", states.get("given_up", 0))

    def _count(self, session: Session) -> None:
        rows = session.execute(
            select(
                Segment.room_id,
                Segment.camera_id,
                func.count(),
                func.sum(Segment.bytes),
                func.max(Segment.id),
            )
            .where(Segment.id > self._last_segment)
            .group_by(Segment.room_id, Segment.camera_id)
        ).all()
        for room, camera, count, size, last in rows:
            self._segments[room, camera] += count
            self._bytes[room, camera] += size
            self._last_segment = max(self._last_segment, last)
        for gap in session.scalars(select(Gap).where(Gap.id > self._last_gap).order_by(Gap.id)):
            cause = gap.cause if gap.cause in set(Cause) else Cause.UNKNOWN.value
            seconds = (gap.ends_at - gap.starts_at).total_seconds()
            self._gap_s[gap.room_id, gap.camera_id, cause] += seconds
            self._last_gap = gap.id

    @staticmethod
    def _room_of(camera: str, window: str, beat: dict[str, Any]) -> str:
        """A beat's recordings name window and camera; which room that is stands beside."""
        for one in beat.get("cameras", []):
            if (one["window"], one["camera"]) == (window, camera):
                return str(one["room"])
        return ""


class _Once:
    """What a registry asks for its numbers."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _counts(session: Session, query: Select[str, int]) -> dict[str, int]:
    """What a query of names with their counts finds."""
    return {str(row[0]): int(row[1]) for row in session.execute(query)}


def _of_checks(checks: dict[str, Any] | None) -> Iterator[Metric]:
    if checks is None:
        return
    writable = _gauge("writable", "1 where it can be written", ["what"])
    for what in ("archive", "database", "log"):
        writable.add_metric([what], float(not checks[what]))
    yield writable
    if checks["clock_synchronised"] is not None:
        yield _one(
            "clock_synchronised",
            "1 while a time service disciplines the clock",
            float(checks["clock_synchronised"]),
        )


def _gauge(name: str, words: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kaozheng_{name}", words, labels=labels)


def _counter(name: str, words: str, labels: list[str]) -> CounterMetricFamily:
    return CounterMetricFamily(f"kaozheng_{name}", words, labels=labels)


def _one(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kaozheng_{name}", words, value=value)
