"""Clips for the browser: playable copies of whole segments, never across a gap."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest
from kaozheng_service.disputes import viewing
from kaozheng_service.disputes.find import find
from kaozheng_service.disputes.viewing import clips_of, viewing_clip
from kaozheng_service.errors import ServiceError, UserError

ROOM = "9-101"


@pytest.fixture
def recorded(small_archive: Any) -> tuple[Any, str]:
    """10 s on front-left, in one take."""
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=10), room=ROOM)
    return small_archive, small_archive.take(window, "front-left", begins, 5)


def frames(path: Path) -> list[float]:
    """The presentation times of a file's decoded pictures, s."""
    with av.open(str(path)) as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


def test_a_clip_holds_every_frame_of_its_segments_and_begins_at_zero(recorded: tuple[Any, str]) -> None:
    archive, take = recorded
    clip = viewing_clip(archive.station, take, 2, 4)
    times = frames(clip)
    assert len(times) == 150
    assert times[0] == pytest.approx(0, abs=0.05)
    assert times[-1] == pytest.approx(5.96, abs=0.05)


def test_a_clip_has_its_index_in_front_so_that_a_browser_seeks_at_once(recorded: tuple[Any, str]) -> None:
    archive, take = recorded
    head = viewing_clip(archive.station, take, 1, 5).read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")


def test_h265_becomes_h264(small_archive: Any, small_archives: ModuleType, tmp_path: Path) -> None:
    media = small_archives.make_segments(tmp_path / "hevc", 2, encoder="libx265")
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=4), room=ROOM)
    take = small_archive.take(window, "front-left", begins, 2, media=media, codec="hevc")
    clip = viewing_clip(small_archive.station, take, 1, 2)
    with av.open(str(clip)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert len(frames(clip)) == 100


def test_a_clip_is_made_once_and_the_original_is_not_touched(recorded: tuple[Any, str]) -> None:
    archive, take = recorded
    originals = {path: path.read_bytes() for path in archive.station.archive.rglob("seg-*.mp4")}
    first = viewing_clip(archive.station, take, 1, 2)
    made = first.stat().st_ino
    assert viewing_clip(archive.station, take, 1, 2).stat().st_ino == made
    assert {path: path.read_bytes() for path in archive.station.archive.rglob("seg-*.mp4")} == originals
    assert not list(first.parent.glob("*.part"))


def test_the_clips_watched_longest_ago_make_room(
    recorded: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, take = recorded
    oldest, kept = (viewing_clip(archive.station, take, number, number) for number in (1, 2))
    os.utime(oldest, (1, 1))
    monkeypatch.setattr(viewing, "CACHE_BYTES", oldest.stat().st_size + kept.stat().st_size)
    newest = viewing_clip(archive.station, take, 3, 3)
    assert newest.exists()
    assert not oldest.exists()


def test_clips_end_at_a_gap(small_archive: Any) -> None:
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=20), room=ROOM)
    small_archive.take(window, "front-left", begins, 5, without=(3,))
    small_archive.take(window, "front-left", begins + timedelta(seconds=12), 2, number=2)
    result = find(small_archive.station, ROOM, None, begins + timedelta(seconds=5))
    camera = next(camera for camera in result.cameras if camera.camera_id == "front-left")
    assert [(clip.take[-9:], clip.first, clip.last) for clip in clips_of(camera.segments)] == [
        ("take-0001", 1, 2),
        ("take-0001", 4, 5),
        ("take-0002", 1, 2),
    ]


def test_segments_that_are_not_there_are_refused(recorded: tuple[Any, str]) -> None:
    archive, take = recorded
    for first, last in ((1, 9), (4, 2), (7, 7)):
        with pytest.raises(UserError, match="has no recorded segments"):
            viewing_clip(archive.station, take, first, last)
    with pytest.raises(UserError, match="has no recorded segments"):
        viewing_clip(archive.station, "../../etc/passwd", 1, 1)


def test_more_than_ten_minutes_are_refused(small_archive: Any) -> None:
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(minutes=20), room=ROOM)
    take = small_archive.take(window, "front-left", begins, 3, segment_s=300)
    with pytest.raises(UserError, match="longer than 0:10:00"):
        viewing_clip(small_archive.station, take, 1, 3)


def test_a_file_gone_from_the_archive_is_told(recorded: tuple[Any, str]) -> None:
    archive, take = recorded
    next(archive.station.archive.rglob("seg-00002.mp4")).unlink()
    with pytest.raises(ServiceError, match=r"seg-00002\.mp4 of take .* is not in the archive"):
        viewing_clip(archive.station, take, 1, 3)


def test_an_unreadable_file_is_told_without_the_machine_s_paths(recorded: tuple[Any, str]) -> None:
    archive, take = recorded
    next(archive.station.archive.rglob("seg-00001.mp4")).write_bytes(b"not a film")
    with pytest.raises(ServiceError, match="cannot be made playable") as told:
        viewing_clip(archive.station, take, 1, 1)
    assert str(archive.station.archive) not in str(told.value)
    assert str(archive.station.state) not in str(told.value)
