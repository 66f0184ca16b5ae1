"""A disputed session, recorded and exported: what the tests of exports and their verification begin from."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kaozheng_service.clock import now
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import SheetPrinted
from kaozheng_service.station import Station

ROOM = "9-101"

# Tests of cut exports share more than fixtures; they are no package, so the module is put where they find it.
_SPEC = importlib.util.spec_from_file_location("cut_bag", Path(__file__).parents[1] / "cut_bag.py")
assert _SPEC is not None
assert _SPEC.loader is not None
cut_bag = sys.modules["cut_bag"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(cut_bag)


@dataclass(frozen=True)
class Disputed:
    """20 s from 09:00:00: ``front-left`` lost its stream from 6 to 10 s, ``back-right`` recorded all of it."""

    archive: Any
    window: str
    begins: datetime

    @property
    def station(self) -> Station:
        station: Station = self.archive.station
        return station

    def request(self, first_s: float = 3.0, last_s: float = 13.0, **other: Any) -> ExportRequest:
        """Seconds of the session; both cameras."""
        facts: dict[str, Any] = {
            "room_id": ROOM,
            "camera_ids": ("front-left", "back-right"),
            "starts_at": self.begins + timedelta(seconds=first_s),
            "ends_at": self.begins + timedelta(seconds=last_s),
            "reason": "考生对座位17的成绩提出异议",
            "seat": "17",
        }
        return ExportRequest(**(facts | other))


def record_disputed_session(archive: Any) -> Disputed:
    begins = archive.local("2024-11-23 09:00:00")
    window = archive.window(begins, begins + timedelta(seconds=20), room=ROOM, closed=False)
    archive.take(window, "front-left", begins, 3)
    lost, back = begins + timedelta(seconds=6), begins + timedelta(seconds=10)
    archive.gap(window, "front-left", lost, back, "stream_lost", "the stream ended")
    archive.take(window, "front-left", back, 5, number=2)
    archive.take(window, "back-right", begins, 10)
    archive.close(window)
    return Disputed(archive, window, begins)


@pytest.fixture
def disputed(small_archive: Any) -> Disputed:
    return record_disputed_session(small_archive)


@pytest.fixture(scope="session")
def pristine_bag(
    small_archives: ModuleType, h264_segments: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An export of seconds 3 to 13, made once; not to be changed."""
    folder = tmp_path_factory.mktemp("pristine")
    disputed = record_disputed_session(small_archives.SmallArchive.make(folder, h264_segments))
    export_bag(disputed.station, disputed.request(), folder / "bag")
    return folder / "bag"


@pytest.fixture(scope="session")
def rehearsed_exams() -> ModuleType:
    """The module ``rehearsed_exam.py`` beside this file."""
    path = Path(__file__).with_name("rehearsed_exam.py")
    spec = importlib.util.spec_from_file_location("rehearsed_exam", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["rehearsed_exam"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def cut_media(small_archives: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    media: list[Path] = small_archives.make_segments(
        tmp_path_factory.mktemp("grouped"), 5, group=cut_bag.GROUP
    )
    return media


@pytest.fixture(scope="session")
def pristine_cut(small_archives: ModuleType, cut_media: list[Path], tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("cut")
    archive = small_archives.SmallArchive.make(folder, cut_media)
    whole = cut_bag.Cut(archive, cut_bag.record(archive, cut_media), folder / "bag")
    whole.export(3.1, 7.3, whole.bag)
    return whole


@pytest.fixture
def cut(pristine_cut: Any, tmp_path: Path) -> Any:
    """With a copy of the bag, to be tampered with."""
    return cut_bag.Cut(
        pristine_cut.archive, pristine_cut.begins, Path(shutil.copytree(pristine_cut.bag, tmp_path / "bag"))
    )


@dataclass(frozen=True)
class Anchored:
    """A disputed session whose checkpoint was printed twice before ``bag`` was exported; not to be changed."""

    disputed: Disputed
    papers: tuple[str, ...]
    bag: Path


def print_checkpoint(disputed: Disputed) -> str:
    """A checkpoint that leaves the machine on a session sheet, and the record of it."""
    log = disputed.station.log
    text = log.checkpoint()
    size = parse_checkpoint(text).size
    room = disputed.request().room_id
    log.append(SheetPrinted(at=now(), window=disputed.window, room=room, sha256="0" * 64, log_size=size))
    return text


@pytest.fixture(scope="session")
def anchored(small_archives: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Anchored:
    folder = tmp_path_factory.mktemp("anchored")
    media = small_archives.make_segments(folder / "media", 5, size="160x90")
    disputed = record_disputed_session(small_archives.SmallArchive.make(folder, media))
    papers = (print_checkpoint(disputed), print_checkpoint(disputed))
    export_bag(disputed.station, disputed.request(), folder / "bag")
    return Anchored(disputed, papers, folder / "bag")
