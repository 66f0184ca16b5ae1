"""A small real archive for tests: the demo site, 2 s segments from ffmpeg, rows and records."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import imageio_ffmpeg
import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.database import (
    BackfilledSegment,
    BackfilledTake,
    Gap,
    Healing,
    Inspection,
    Segment,
    Take,
    Window,
)
from kaozheng_service.disputes.standalone.pieces import hash_pieces
from kaozheng_service.evidence.records import (
    BackfillClosed,
    BackfillOpened,
    BackfillSegment,
    GapExplained,
    GapHealed,
    SegmentRecorded,
    TakeClosed,
    TakeOpened,
    WindowClosed,
    WindowExpected,
)
from kaozheng_service.recording.media import read_facts
from kaozheng_service.station import Station, open_station
from sqlalchemy import select

SEGMENT_S = 2
FRAMES = 50
DEMO_SITE = Path(__file__).resolve().parents[1] / "configs" / "demo" / "site.yaml"


def make_segments(
    folder: Path, count: int, *, encoder: str = "libx264", size: str = "640x360", group: int = 50
) -> list[Path]:
    """``count`` files of 2 s, fragmented MP4 with running timestamps, as a recorder leaves them.

    ``group`` is how many pictures there are from a keyframe to the next, each group a fragment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "libx264": ["-preset", "ultrafast"],
        "libx265": ["-preset", "ultrafast", "-x265-params", "log-level=none"],
    }
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size={size}:rate=25",
    ]
    command += [
        "-t",
        str(count * SEGMENT_S),
        "-c:v",
        encoder,
        *options[encoder],
        "-g",
        str(group),
        "-keyint_min",
        str(group),
    ]
    command += ["-sc_threshold", "0", "-pix_fmt", "yuv420p", "-f", "segment", "-segment_time", str(SEGMENT_S)]
    command += ["-segment_start_number", "1", "-segment_format", "mp4", "-segment_format_options"]
    command += ["movflags=frag_keyframe+empty_moov+default_base_moof", str(folder / "seg-%05d.mp4")]
    subprocess.run(command, check=True, timeout=300)
    files = sorted(folder.glob("seg-*.mp4"))
    assert len(files) == count
    return files


@dataclass(frozen=True)
class SmallArchive:
    """``media`` holds H.264 segments to be copied from, in the order of their timestamps."""

    station: Station
    media: list[Path]

    @classmethod
    def make(cls, folder: Path, media: list[Path], **recording: float) -> SmallArchive:
        """The demo site in ``folder``, with nothing recorded."""
        site = yaml.safe_load(DEMO_SITE.read_text(encoding="utf-8"))
        site.pop("timetable")
        if recording:
            site["recording"] = recording
        path = folder / "site.yaml"
        path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
        return cls(open_station(load_site(path)), media)

    def local(self, text: str) -> datetime:
        """A moment written in the site's time, as UTC."""
        return datetime.fromisoformat(text).replace(tzinfo=self.station.site.zone).astimezone(UTC)

    def window(
        self,
        starts_at: datetime,
        ends_at: datetime,
        *,
        room: str = "9-201",
        cameras: tuple[str, ...] | None = None,
        kind: str = "theory",
        title: str = "第一考场 理论考试",
        exam: tuple[datetime, datetime] | None = None,
        closed: bool = True,
    ) -> str:
        """Expect a recording; its id."""
        names = cameras or tuple(camera.id for camera in self.station.site.room(room).cameras)
        window_id = f"{starts_at.astimezone(self.station.site.zone):%Y%m%d-%H%M%S}-{room}-{kind}"
        record = WindowExpected(
            at=starts_at - timedelta(days=1),
            window=window_id,
            room=room,
            cameras=list(names),
            title=title,
            starts_at=starts_at,
            ends_at=ends_at,
            activity=kind,
            batch=None,
            exam_starts_at=exam[0] if exam else None,
            exam_ends_at=exam[1] if exam else None,
            origin=None,
        )
        leaf = self.station.log.append(record)
        with self.station.sessions.begin() as session:
            session.add(
                Window(
                    id=window_id,
                    room_id=room,
                    kind=kind,
                    title=title,
                    camera_ids=" ".join(names),
                    starts_at=starts_at,
                    ends_at=ends_at,
                    exam_starts_at=exam[0] if exam else None,
                    exam_ends_at=exam[1] if exam else None,
                    leaf=leaf,
                    closed_leaf=leaf if closed else None,
                )
            )
        return window_id

    def take(
        self,
        window_id: str,
        camera: str,
        opened_at: datetime,
        segments: int,
        *,
        number: int = 1,
        segment_s: float = SEGMENT_S,
        running: bool = False,
        media: list[Path] | None = None,
        codec: str = "h264",
        without: tuple[int, ...] = (),
        unknown: tuple[str, ...] = (),
    ) -> str:
        """Record ``segments`` files from ``opened_at`` on; ``segment_s`` stretches their rows, not the media.

        ``unknown`` are fields that are null, as in older records.
        """
        files = media or self.media
        take_id = f"{window_id}/{camera}/take-{number:04d}"
        with self.station.sessions.begin() as session:
            window = session.get_one(Window, window_id)
            day = f"{opened_at.astimezone(self.station.site.zone):%Y-%m-%d}"
            folder = f"{day}/{window.room_id}/{camera}/{window_id}/take-{number:04d}"
            place = self.station.archive / folder
            place.mkdir(parents=True)
            closed_at = None if running else opened_at + timedelta(seconds=segments * segment_s)
            names = {"take": take_id, "window": window_id, "room": window.room_id, "camera": camera}
            opened = TakeOpened(at=opened_at, number=number, **names)
            take = Take(
                id=take_id,
                window_id=window_id,
                room_id=window.room_id,
                camera_id=camera,
                number=number,
                folder=folder,
                opened_at=opened_at,
                closed_at=closed_at,
                end_cause=None if running else "window_ended",
                end_detail=None if running else "",
                leaf=self.station.log.append(opened),
            )
            session.add(take)
            previous = ""
            for index in range(segments):
                if index + 1 in without:
                    continue
                path = place / f"seg-{index + 1:05d}.mp4"
                shutil.copyfile(files[index % len(files)], path)
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                pieces, media = hash_pieces(path), read_facts(path)
                assert media is not None
                begins = opened_at + timedelta(seconds=index * segment_s)
                facts = {
                    "path": f"{folder}/{path.name}",
                    "bytes": path.stat().st_size,
                    "sha256": digest,
                    "starts_at": begins,
                    "ends_at": begins + timedelta(seconds=segment_s),
                    "frames": FRAMES,
                    "codec": codec,
                    "width": 640,
                    "height": 360,
                    "run": 1,
                    "step_s": 0.0,
                    "boot": None,
                    "boot_s": None,
                    "clock": "synchronised",
                    "clock_error_s": 0.01,
                    "first_pts_s": round(media.first_pts_s, 6),
                    "last_pts_s": round(media.last_pts_s, 6),
                    "fragments": len(pieces.leaves),
                    "fragments_root": pieces.root,
                } | dict.fromkeys(unknown)
                record = SegmentRecorded(
                    at=facts["ends_at"],
                    number=index + 1,
                    previous=previous,
                    **names,
                    **facts,
                )
                previous = digest
                session.add(
                    Segment(
                        take_id=take_id,
                        room_id=window.room_id,
                        camera_id=camera,
                        number=index + 1,
                        leaf=self.station.log.append(record),
                        **facts,
                    )
                )
            if running:
                shutil.copyfile(files[0], place / f"open-{segments + 1:05d}.mp4")
            else:
                count = segments - sum(1 <= number <= segments for number in without)
                closing = TakeClosed(
                    at=closed_at or opened_at,
                    segments=count,
                    last=previous,
                    cause="window_ended",
                    detail="",
                    **names,
                )
                take.closed_leaf = self.station.log.append(closing)
        return take_id

    def inspection(self, inspection_id: str, room: str, result: str) -> None:
        """An inspection's row with this result, as JSON."""
        at = datetime.now(UTC)
        with self.station.sessions.begin() as session:
            session.add(
                Inspection(
                    id=inspection_id, room_id=room, at=at, outcome="accepted", result=result, leaf=None
                )
            )

    def close(self, window_id: str) -> None:
        """Sign that nothing more will be added to a window; for one that was made with ``closed=False``."""
        with self.station.sessions.begin() as session:
            window = session.get_one(Window, window_id)
            takes = list(session.scalars(select(Take.camera_id).where(Take.window_id == window_id)))
            gaps = list(session.scalars(select(Gap.camera_id).where(Gap.window_id == window_id)))
            record = WindowClosed(
                at=window.ends_at,
                window=window_id,
                room=window.room_id,
                takes={camera: takes.count(camera) for camera in window.cameras},
                gaps={camera: gaps.count(camera) for camera in window.cameras},
            )
            window.closed_leaf = self.station.log.append(record)

    def gap(
        self,
        window_id: str,
        camera: str,
        starts_at: datetime,
        ends_at: datetime,
        cause: str = "stream_lost",
        detail: str = "",
    ) -> None:
        """Explain why ``camera`` did not record."""
        with self.station.sessions.begin() as session:
            room = session.get_one(Window, window_id).room_id
            record = GapExplained(
                at=ends_at,
                window=window_id,
                room=room,
                camera=camera,
                starts_at=starts_at,
                ends_at=ends_at,
                cause=cause,
                detail=detail,
            )
            leaf = self.station.log.append(record)
            session.add(
                Gap(
                    window_id=window_id,
                    room_id=room,
                    camera_id=camera,
                    starts_at=starts_at,
                    ends_at=ends_at,
                    cause=cause,
                    detail=detail,
                    leaf=leaf,
                )
            )

    def backfill(
        self,
        window_id: str,
        camera: str,
        from_at: datetime,
        segments: int,
        *,
        source: str = "校园录像机",
        number: int = 1,
        healed: tuple[datetime, datetime] | None = None,
    ) -> str:
        """Footage of the camera's first gap that came afterwards: ``segments`` files from ``from_at`` on; its take id.

        ``healed`` is what the record says of the gap, as far as the files reach when left out.
        """
        take_id = f"{window_id}/{camera}/backfill-{number:04d}"
        with self.station.sessions.begin() as session:
            gap = session.scalars(
                select(Gap).where(Gap.window_id == window_id, Gap.camera_id == camera).order_by(Gap.starts_at)
            ).first()
            assert gap is not None
            day = f"{from_at.astimezone(self.station.site.zone):%Y-%m-%d}"
            folder = f"{day}/{gap.room_id}/{camera}/{window_id}/backfill-{number:04d}"
            place = self.station.archive / folder
            place.mkdir(parents=True)
            until = from_at + timedelta(seconds=segments * SEGMENT_S)
            names = {"take": take_id, "window": window_id, "room": gap.room_id, "camera": camera}
            at = until + timedelta(hours=1)
            opened = {
                "number": number,
                "gap": gap.leaf,
                "source": source,
                "asked_from": from_at,
                "asked_to": until,
                "fetched_at": at,
                "time_source": "requested_range",
                "uncertainty_s": 3.0,
            }
            take = BackfilledTake(
                id=take_id,
                window_id=window_id,
                room_id=gap.room_id,
                camera_id=camera,
                folder=folder,
                gap_id=gap.id,
                end_cause="range_ended",
                end_detail="",
                leaf=self.station.log.append(BackfillOpened(at=at, backfilled=True, **names, **opened)),
                **opened,
            )
            session.add(take)
            session.flush()
            previous = ""
            for index in range(segments):
                path = place / f"seg-{index + 1:05d}.mp4"
                shutil.copyfile(self.media[index % len(self.media)], path)
                pieces, media = hash_pieces(path), read_facts(path)
                assert media is not None
                begins = from_at + timedelta(seconds=index * SEGMENT_S)
                ends = begins + timedelta(seconds=SEGMENT_S)
                inside = max((min(ends, gap.ends_at) - max(begins, gap.starts_at)).total_seconds(), 0.0)
                facts = {
                    "number": index + 1,
                    "path": f"{folder}/{path.name}",
                    "bytes": path.stat().st_size,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "starts_at": begins,
                    "ends_at": ends,
                    "frames": FRAMES,
                    "overlapping_s": SEGMENT_S - inside,
                    "first_pts_s": round(media.first_pts_s, 6),
                    "fragments": len(pieces.leaves),
                    "fragments_root": pieces.root,
                }
                leaf = self.station.log.append(BackfillSegment(at=at, previous=previous, **names, **facts))
                previous = facts["sha256"]
                session.add(
                    BackfilledSegment(
                        take_id=take_id,
                        room_id=gap.room_id,
                        camera_id=camera,
                        codec="h264",
                        width=640,
                        height=360,
                        leaf=leaf,
                        **facts,
                    )
                )
            closing = BackfillClosed(
                at=at, segments=segments, last=previous, cause="range_ended", detail="", **names
            )
            take.closed_leaf = self.station.log.append(closing)
            begins, ends = healed or (max(from_at, gap.starts_at), min(until, gap.ends_at))
            record = GapHealed(at=at, gap=gap.leaf, starts_at=begins, ends_at=ends, **names)
            session.add(
                Healing(
                    gap_id=gap.id,
                    gap=gap.leaf,
                    take_id=take_id,
                    window_id=window_id,
                    room_id=gap.room_id,
                    camera_id=camera,
                    starts_at=begins,
                    ends_at=ends,
                    leaf=self.station.log.append(record),
                )
            )
        return take_id
