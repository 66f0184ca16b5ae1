"""The watch over what is being recorded: real files that grow, faults put into them, alarms raised and ended."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from kaozheng_service.clock import now
from kaozheng_service.database import Alarm, Reference
from kaozheng_service.inspection.references import ViewFile, accept_references, keep_view
from kaozheng_service.recording.newest import decode_first, newest_fragment
from kaozheng_service.recording.watcher import LOST_AFTER_S, Watcher
from sqlalchemy import select

ROOM, CAMERA = "9-101", "front-left"


@pytest.fixture(scope="session")
def scenes(spoilt_clips: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Fragmented MP4 files of the demo room, as a recorder writes them: as it is, covered, and turned by 2 degrees."""
    from kaozheng_service.config.geometry import room_cameras
    from kaozheng_service.config.site import load_site

    folder = tmp_path_factory.mktemp("scenes")
    root = Path(__file__).resolve().parents[2]
    room = load_site(root / "configs" / "demo" / "site.yaml").room(ROOM)
    camera = next(one for one in room_cameras(room) if one.id == CAMERA)
    faults = {
        "good": lambda frame: frame,
        "covered": spoilt_clips.covered(0.7),
        "turned": spoilt_clips.turned(camera, 2.0),
        "frozen": Still(),
    }
    clip = root / "sample_media" / ROOM / f"{CAMERA}.mp4"
    return {
        name: spoilt_clips.spoil_clip(
            clip, folder / f"{name}.mp4", fault, seconds=8, every=5, fragmented=True
        )
        for name, fault in faults.items()
    }


class Still:
    """The first picture again and again."""

    def __init__(self) -> None:
        self.first: Any = None

    def __call__(self, frame: Any) -> Any:
        self.first = frame if self.first is None else self.first
        return self.first


class Growing:
    """A recorder's file that grows by a second at each step, its take open, a watcher looking on."""

    def __init__(self, archive: Any) -> None:
        self.archive = archive
        self.station = archive.station
        begins = now() - timedelta(minutes=1)
        self.window = archive.window(
            begins, begins + timedelta(hours=1), room=ROOM, cameras=(CAMERA,), closed=False
        )
        archive.take(self.window, CAMERA, begins, 0, running=True)
        self.file = self._file()
        self.now_s = 0.0
        self.watcher = self.new_watcher()

    def new_watcher(self) -> Watcher:
        return Watcher(self.station, clock=lambda: self.now_s)

    def play(self, scene: Path) -> None:
        """Let the file become ``scene``, a fragment at a time, and watch after each."""
        name = f"open-{int(self.file.stem[-5:]) + 1:05d}.mp4"
        self.file.unlink(missing_ok=True)
        self.file = self.file.with_name(name)
        data = scene.read_bytes()
        for end in fragment_ends(data):
            self.file.write_bytes(data[:end])
            self.watcher.tick(now())
            self.now_s += 1.0

    def accept(self, frames: tuple[Any, ...]) -> None:
        """Accept this as the camera's view, as an inspection's acceptance does."""
        view = keep_view(self.station, "seen", CAMERA, frames)
        self.archive.inspection("seen", ROOM, self._result(view))
        accept_references(self.station, "seen", ROOM)

    def _result(self, view: ViewFile) -> str:
        entry = {
            "camera": CAMERA,
            "diagnosis": [],
            "view": {"path": view.path, "sha256": view.sha256, "light": view.light},
        }
        return json.dumps({"cameras": [entry]})

    def alarms(self) -> list[tuple[str, bool]]:
        """(kind, whether it lasts) of this camera, in order."""
        with self.station.sessions() as session:
            rows = session.scalars(select(Alarm).where(Alarm.camera_id == CAMERA).order_by(Alarm.id))
            return [(row.kind, row.cleared_at is None) for row in rows]

    def _file(self) -> Path:
        folder: Path = next((self.station.archive).glob(f"*/{ROOM}/{CAMERA}/{self.window}/take-*"))
        for old in folder.glob("*.mp4"):
            old.unlink()
        return folder / "open-00000.mp4"


def fragment_ends(data: bytes) -> list[int]:
    """Where each moof's mdat ends."""
    ends, at = [], 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += length
        if kind == b"mdat":
            ends.append(at)
    return ends


def first_picture(scene: Path) -> Any:
    found = newest_fragment(scene)
    assert found is not None
    return decode_first(found[1])


@pytest.fixture
def growing(small_archive: Any) -> Iterator[Growing]:
    one = Growing(small_archive)
    yield one
    one.watcher.stop()


def test_the_newest_picture_of_a_growing_file_is_the_last_whole_fragments_first(
    scenes: dict[str, Path], tmp_path: Path
) -> None:
    data = scenes["good"].read_bytes()
    ends = fragment_ends(data)
    file = tmp_path / "open-00001.mp4"
    file.write_bytes(data[: ends[2] + 1000])  # a third fragment, and a torn fourth
    found = newest_fragment(file)
    file.write_bytes(data[: ends[2]])
    assert found == newest_fragment(file)
    assert found is not None
    picture = decode_first(found[1])
    assert picture is not None
    assert picture.shape == (1080, 1920, 3)
    file.write_bytes(data[: ends[0] - 1])
    assert newest_fragment(file) is None


def test_garbage_where_the_picture_should_be_is_no_picture(scenes: dict[str, Path]) -> None:
    found = newest_fragment(scenes["good"])
    assert found is not None
    spoilt = bytearray(found[1])
    spoilt[-len(spoilt) // 2 :] = np.random.default_rng(1).bytes(len(spoilt) // 2)
    assert decode_first(b"") is None
    assert decode_first(bytes(spoilt[:200])) is None


def test_a_good_picture_raises_nothing(growing: Growing, scenes: dict[str, Path]) -> None:
    growing.accept((first_picture(scenes["good"]),))
    growing.play(scenes["good"])
    assert growing.alarms() == []


@pytest.mark.parametrize(("scene", "kind"), [("covered", "covered"), ("turned", "moved")])
def test_a_fault_against_the_accepted_view_is_told_and_ends_when_it_is_mended(
    growing: Growing, scenes: dict[str, Path], scene: str, kind: str
) -> None:
    growing.accept((first_picture(scenes["good"]),))
    growing.play(scenes["good"])
    growing.play(scenes[scene])
    assert growing.alarms() == [(kind, True)]
    growing.play(scenes["good"])
    assert growing.alarms() == [(kind, False)]
    entries = [json.loads(entry) for entry in growing.station.log.entries()]
    assert [entry["alarm"] for entry in entries if entry["kind"] == "alarm.raised"] == [kind]
    (cleared,) = [entry for entry in entries if entry["kind"] == "alarm.cleared"]
    assert (cleared["alarm"], cleared["ended"]) == (kind, "clear")


def test_a_frozen_picture_is_told_without_any_accepted_view(
    growing: Growing, scenes: dict[str, Path]
) -> None:
    growing.play(scenes["frozen"])
    assert growing.alarms() == [("frozen", True)]


def test_a_file_that_no_longer_grows_is_a_lost_picture(growing: Growing, scenes: dict[str, Path]) -> None:
    growing.play(scenes["good"])
    for _ in range(3):
        growing.now_s += LOST_AFTER_S
        growing.watcher.tick(now())
    assert growing.alarms() == [("lost", True)]


def test_a_changed_accepted_view_cannot_be_judged_by_and_raises_nothing(
    growing: Growing, scenes: dict[str, Path]
) -> None:
    growing.accept((first_picture(scenes["good"]),))
    (view,) = (growing.station.state / "references").rglob("*.png")
    view.write_bytes(cv2.imencode(".png", np.zeros((1080, 1920, 3), np.uint8))[1].tobytes())
    growing.play(scenes["covered"])
    assert ("covered", True) not in growing.alarms()


def test_an_accepted_view_changed_in_row_and_file_is_not_the_logs(
    growing: Growing, scenes: dict[str, Path]
) -> None:
    growing.accept((first_picture(scenes["good"]),))
    data = cv2.imencode(".png", first_picture(scenes["covered"]))[1].tobytes()
    (view,) = (growing.station.state / "references").rglob("*.png")
    view.write_bytes(data)
    with growing.station.sessions.begin() as session:
        session.scalars(select(Reference)).one().sha256 = hashlib.sha256(data).hexdigest()
    growing.play(scenes["covered"])
    (picture,) = growing.watcher.pictures()
    assert picture.judgement == "cannot_judge"
    assert "is not the one that the log has" in picture.words


def test_an_alarm_that_could_not_be_written_is_written_at_the_next_look(
    growing: Growing, scenes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    growing.accept((first_picture(scenes["good"]),))
    append, failures = growing.station.log.append, [OSError(28, "No space left on device")]

    def fail_once(record: Any) -> int:
        if failures:
            raise failures.pop()
        return int(append(record))

    monkeypatch.setattr(growing.station.log, "append", fail_once)
    growing.play(scenes["covered"])
    assert failures == []
    assert ("covered", True) in growing.alarms()
    kinds = [json.loads(entry)["kind"] for entry in growing.station.log.entries()]
    assert kinds.count("alarm.raised") == 1


def test_garbage_for_keyframes_is_a_lost_picture(growing: Growing, scenes: dict[str, Path]) -> None:
    data = bytearray(scenes["good"].read_bytes())
    ends = fragment_ends(bytes(data))
    for begin, end in pairwise(ends):
        at = data.index(b"mdat", begin) + 2000
        data[at:end] = np.random.default_rng(1).bytes(end - at)
    file = scenes["good"].with_name("garbage.mp4")
    file.write_bytes(data)
    growing.play(file)
    assert ("lost", True) in growing.alarms()


def test_a_watchers_process_ends_with_its_daemon(tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from kaozheng_service.recording.watch_worker import begin\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, mp_context=get_context('spawn'), initializer=begin)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "daemon.py").write_text(script, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, tmp_path / "daemon.py"], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        worker = int(daemon.stdout.readline())
        assert daemon.stdout.read() == ""  # the worker holds the pipe until it ends
    assert worker > 0


def test_alarms_end_with_their_window_and_are_taken_up_by_the_next_watcher(
    growing: Growing, scenes: dict[str, Path]
) -> None:
    growing.accept((first_picture(scenes["good"]),))
    growing.play(scenes["covered"])
    assert growing.alarms() == [("covered", True)]
    growing.watcher.stop()
    growing.watcher = growing.new_watcher()
    growing.play(scenes["covered"])
    assert growing.alarms() == [("covered", True)]  # not a second one
    growing.watcher.tick(now() + timedelta(hours=2))
    assert growing.alarms() == [("covered", False)]
