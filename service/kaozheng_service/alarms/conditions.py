"""What is wrong right now, read from what the recording loop, the watch, the checks and the database say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from kaozheng_service import wording
from kaozheng_service.alarms.checks import Checks
from kaozheng_service.alarms.kinds import AlarmKind, Subject
from kaozheng_service.alarms.words import Language
from kaozheng_service.clock import to_text
from kaozheng_service.database import Gap, Window
from kaozheng_service.recording.completeness import window_completeness
from kaozheng_service.recording.forecast import GB, Forecast
from kaozheng_service.recording.gaps import EDGE_S
from kaozheng_service.recording.supervisor import CameraHealth
from kaozheng_service.station import Station

# The loop ticks every second, and a tick may wait 30 s for the database's lock (``open_database``); longer is a hang.
STALLED_S = 40.0
# After its end a window is settled within seconds: files closed, gaps signed.
SETTLE_S = 120.0
# A window is looked at for so long; what was not mended by then is for `kaozheng verify`.
LOOKED_AT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The recording loop as it was at its last tick that got through.

    Attributes
    ----------
    tick_at_s : when that was, s of the monotonic clock
    failure : why the ticks since then failed; "" where none did
    """

    tick_at_s: float
    tick_s: float
    cameras: tuple[CameraHealth, ...]
    free_bytes: int
    disk_low: bool
    failure: str = ""


def service_conditions(
    station: Station,
    snapshot: Snapshot,
    checks: Checks | None,
    watch_trouble: str,
    at_s: float,
    second_trouble: str = "",
    damage: str = "",
    verification_trouble: str = "",
) -> dict[Subject, str]:
    """What is wrong with cameras, disk, clock and the service itself, each with what is known of it."""
    found: dict[Subject, str] = {}
    stalled_s = at_s - snapshot.tick_at_s
    if stalled_s > STALLED_S:
        found[_site(AlarmKind.SERVICE_STALLED)] = snapshot.failure or _said(
            station, f"{stalled_s:.0f} 秒没有完成一轮检查", f"no round was finished for {stalled_s:.0f} s"
        )
    if snapshot.disk_low:
        free, reserve = snapshot.free_bytes / GB, station.site.storage.reserve_gb
        found[_site(AlarmKind.DISK_LOW)] = _said(
            station,
            f"可用 {free:.1f} GB，低于保留的 {reserve:g} GB",
            f"{free:.1f} GB free, less than the reserve of {reserve:g} GB",
        )
    unsigned = [one for one in snapshot.cameras if one.unsigned]
    if unsigned:  # what can be written may still not be signed; what cannot be written is said below
        found[_site(AlarmKind.LOG_UNWRITABLE)] = "; ".join(
            dict.fromkeys(f"{one.room} {one.camera}: {one.unsigned}" for one in unsigned[:3])
        )
    if watch_trouble:
        found[_site(AlarmKind.WATCH_DEAD)] = watch_trouble
    if second_trouble:
        found[_site(AlarmKind.SECOND_TARGET)] = second_trouble
    if damage:
        found[_site(AlarmKind.FILE_DAMAGED)] = damage
    if verification_trouble:
        found[_site(AlarmKind.VERIFICATION_STALLED)] = verification_trouble
    if checks is not None:
        for kind, why in (
            (AlarmKind.LOG_UNWRITABLE, checks.log),
            (AlarmKind.DATABASE_UNWRITABLE, checks.database),
            (AlarmKind.ARCHIVE_UNWRITABLE, checks.archive),
        ):
            if why:
                found[_site(kind)] = why
        if checks.clock_synchronised is False:
            found[_site(AlarmKind.CLOCK_UNSYNCHRONISED)] = _said(
                station,
                "没有时间服务在校准本机时钟",
                "no time service disciplines this machine's clock",
            )
    return found


def outlook_conditions(station: Station, outlook: Forecast) -> dict[Subject, str]:
    """That the disk will not hold the windows of the next days, by how much and from which on."""
    first = outlook.first_short
    if first is None:
        return {}
    gb, begin = outlook.short_bytes / GB, first.starts_at.astimezone(station.site.zone)
    exams = outlook.exams_short_bytes > 0
    words = _said(
        station,
        f"缺 {gb:.1f} GB，从 {begin:%m-%d %H:%M} {first.room} {first.title} 起录不下"
        + ("，仅录考试也不够" if exams else "，仅录考试则够"),
        f"{gb:.1f} GB short, from {begin:%m-%d %H:%M} {first.room} {first.title} on; "
        + ("exams alone do not fit either" if exams else "exams alone fit"),
    )
    return {_site(AlarmKind.DISK_FORECAST): words}


def camera_conditions(
    station: Station, cameras: Iterable[CameraHealth], present: datetime
) -> dict[Subject, str]:
    """Cameras that should be recorded now and bring nothing, each with the cause that is known."""
    found = {}
    for one in cameras:
        if one.flows or one.stopped or not one.starts_at <= present < one.ends_at:
            continue
        subject = Subject(AlarmKind.NO_FOOTAGE.value, one.room, one.camera, one.window)
        if station.site.alarms.language == "zh_CN":
            cause = wording.gap_cause_name(one.cause) if one.cause else "正在连接"
        else:
            cause = one.cause.replace("_", " ") if one.cause else "connecting"
        found[subject] = ": ".join(part for part in (cause, one.detail) if part)
    return found


class WindowsLookedAt:
    """Windows that are over, and gaps that were signed. Called from one thread.

    Parameters
    ----------
    last_gap : the number of the gap that was told last; None for none ever, and those of the past are not told
    """

    def __init__(self, station: Station, last_gap: int | None) -> None:
        self._station = station
        self._done: set[str] = set()
        if last_gap is None:
            with station.sessions() as session:
                last_gap = session.scalar(select(func.max(Gap.id))) or 0
        self.last_gap = last_gap

    def unexplained(self, present: datetime) -> dict[Subject, str]:
        """Cameras of windows that ended within a day, of which neither footage nor a gap covers everything."""
        with self._station.sessions() as session:
            ended = session.scalars(
                select(Window.id).where(
                    Window.ends_at > present - LOOKED_AT,
                    Window.ends_at <= present - timedelta(seconds=SETTLE_S),
                )
            ).all()
        found = {}
        for window in ended:
            if window in self._done:
                continue
            result = window_completeness(self._station, window)
            missing = [
                camera
                for camera in result.cameras
                if camera.unexplained_s > 0 and camera.verdict == "incomplete_unexplained"
            ]
            if result.closed and not missing:
                self._done.add(window)
            for camera in missing:
                subject = Subject(AlarmKind.UNEXPLAINED_GAP.value, result.room_id, camera.camera_id, window)
                found[subject] = _said(
                    self._station,
                    f"缺 {camera.unexplained_s:.0f} 秒，既无录像也无登记原因",
                    f"{camera.unexplained_s:.0f} s have neither footage nor a signed gap",
                )
        return found

    def new_gaps(self) -> list[tuple[int, Subject | None, str, datetime]]:
        """Gaps since the last: number, subject, words and end, in order. No subject for those too short to tell."""
        least_s = max(self._station.site.alarms.gap_s, EDGE_S)
        with self._station.sessions() as session:
            rows = session.scalars(select(Gap).where(Gap.id > self.last_gap).order_by(Gap.id)).all()
        found = []
        for row in rows:
            subject = None
            if (row.ends_at - row.starts_at).total_seconds() >= least_s:
                subject = Subject(AlarmKind.GAP.value, row.room_id, row.camera_id, row.window_id)
            found.append((row.id, subject, self._gap_words(row), row.ends_at))
        return found

    def _gap_words(self, row: Gap) -> str:
        zone = self._station.site.zone
        begin, end = (moment.astimezone(zone).strftime("%H:%M:%S") for moment in (row.starts_at, row.ends_at))
        seconds = (row.ends_at - row.starts_at).total_seconds()
        if self._station.site.alarms.language == "zh_CN":
            return f"{begin}–{end}，{seconds:.0f} 秒，{wording.gap_cause_name(row.cause)}：{row.detail}"
        return f"{begin}–{end}, {seconds:.0f} s, {row.cause.replace('_', ' ')}: {row.detail}"


def clock_step(station: Station, checks: Checks) -> tuple[Subject, str, datetime] | None:
    """That the clock was set, if it was."""
    if not checks.clock_step_s:
        return None
    by = f"{checks.clock_step_s:+.1f}"
    words = _said(
        station,
        f"被调整 {by} 秒，调整后 {to_text(checks.at)}",
        f"set by {by} s, to {to_text(checks.at)}",
    )
    return _site(AlarmKind.CLOCK_STEPPED), words, checks.at


def _site(kind: AlarmKind) -> Subject:
    return Subject(kind.value)


def _said(station: Station, chinese: str, english: str) -> str:
    language: Language = station.site.alarms.language
    return chinese if language == "zh_CN" else english
