"""Accepted views: made from what an inspection saw, kept, found again, and never trusted when changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from kaozheng_service.config.cameras import CameraConfig
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.references import (
    accept_references,
    accepted_files,
    caption_mask,
    keep_view,
    load_views,
    newest_inspection,
)

ROOM, CAMERA = "9-101", "front-left"
Frame = npt.NDArray[np.uint8]


def picture(seed: int = 1, *, grey: bool = False) -> Frame:
    """A coloured scene of coarse patches, or the same by infra-red."""
    patches = np.random.default_rng(seed).integers(0, 256, (27, 48, 3), dtype=np.uint8)
    if grey:
        patches = patches.mean(axis=2, keepdims=True).astype(np.uint8).repeat(3, 2)
    return patches.repeat(20, 0).repeat(20, 1)


def inspected(archive: Any, name: str, frame: Frame, *, fault: str = "", camera: str = CAMERA) -> None:
    """An inspection that saw this picture, with this fault."""
    view = keep_view(archive.station, name, camera, (frame,))
    diagnosis = [{"fault": fault, "judgement": "fault"}] if fault else []
    entry = {
        "camera": camera,
        "diagnosis": diagnosis,
        "view": {"path": view.path, "sha256": view.sha256, "light": view.light},
    }
    blind = {"camera": "back-right", "diagnosis": [], "view": None}
    archive.inspection(name, ROOM, json.dumps({"cameras": [entry, blind]}))


def camera_of(archive: Any, **changed: Any) -> CameraConfig:
    entry: CameraConfig = archive.station.site.room(ROOM).camera(CAMERA)
    return entry.model_copy(update=changed)


def test_an_accepted_view_is_found_again_byte_for_byte_and_is_in_the_log(small_archive: Any) -> None:
    station = small_archive.station
    inspected(small_archive, "one", picture())
    (row,) = accept_references(station, "one", ROOM, [CAMERA])
    (view,) = load_views(accepted_files(station, ROOM, CAMERA), camera_of(small_archive))
    assert np.array_equal(view.frame, picture())
    record = json.loads(station.log.entry(row.leaf))
    assert record["kind"] == "reference.accepted"
    assert (record["camera"], record["sha256"]) == (CAMERA, row.sha256)


def test_the_newest_of_each_light_is_in_force_and_older_ones_are_kept(small_archive: Any) -> None:
    station = small_archive.station
    for name, frame in (("one", picture(1)), ("two", picture(2)), ("night", picture(3, grey=True))):
        inspected(small_archive, name, frame)
        accept_references(station, name, ROOM, [CAMERA])
    files = accepted_files(station, ROOM, CAMERA)
    assert {file.light: file.inspection_id for file in files} == {"day": "two", "infrared": "night"}
    assert len(list((station.state / "references").rglob("*.png"))) == 3
    assert newest_inspection(station, ROOM) == "night"


def test_accepting_the_same_view_twice_changes_nothing(small_archive: Any) -> None:
    station = small_archive.station
    inspected(small_archive, "one", picture())
    (first,) = accept_references(station, "one", ROOM, [CAMERA])
    size = station.log.size
    (second,) = accept_references(station, "one", ROOM, [CAMERA])
    assert (first.id, first.leaf) == (second.id, second.leaf)
    assert station.log.size == size


@pytest.mark.parametrize("fault", ["covered", "black", "blurred", "frozen", "too_dark"])
def test_a_picture_with_a_fault_is_no_view_to_hold_others_against(small_archive: Any, fault: str) -> None:
    inspected(small_archive, "one", picture(), fault=fault)
    with pytest.raises(UserError, match=fault):
        accept_references(small_archive.station, "one", ROOM, [CAMERA])
    assert accepted_files(small_archive.station, ROOM, CAMERA) == ()


def test_a_camera_that_was_moved_may_be_accepted_as_it_now_is(small_archive: Any) -> None:
    inspected(small_archive, "one", picture(), fault="moved")
    assert len(accept_references(small_archive.station, "one", ROOM, [CAMERA])) == 1


def test_nothing_is_accepted_where_one_of_the_cameras_has_no_picture(small_archive: Any) -> None:
    inspected(small_archive, "one", picture())
    with pytest.raises(UserError, match="no picture of back-right"):
        accept_references(small_archive.station, "one", ROOM)
    assert accepted_files(small_archive.station, ROOM, CAMERA) == ()


def test_unknown_inspections_rooms_and_cameras_are_refused_by_name(small_archive: Any) -> None:
    inspected(small_archive, "one", picture())
    for inspection, room, cameras, word in (
        ("two", ROOM, None, "'two'"),
        ("one", "9-201", None, "9-201"),
        ("one", ROOM, ["side"], "side"),
    ):
        with pytest.raises(UserError, match=word):
            accept_references(small_archive.station, inspection, room, cameras)


def test_a_view_that_was_changed_after_the_inspection_is_not_accepted(small_archive: Any) -> None:
    inspected(small_archive, "one", picture())
    (file,) = (small_archive.station.state / "views").rglob("*.png")
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(UserError, match="changed since the inspection"):
        accept_references(small_archive.station, "one", ROOM, [CAMERA])


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_an_accepted_view_that_was_changed_or_is_gone_is_not_compared_with(
    small_archive: Any, how: str
) -> None:
    station = small_archive.station
    inspected(small_archive, "one", picture())
    accept_references(station, "one", ROOM, [CAMERA])
    (path,) = (station.state / "references").rglob("*.png")
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20] + b"\0" * 20)
    with pytest.raises(UserError, match="inspect and accept anew"):
        load_views(accepted_files(station, ROOM, CAMERA), camera_of(small_archive))


def test_captions_of_the_site_file_are_masked_at_any_size(small_archive: Any, tmp_path: Path) -> None:
    caption = {"left": 0.0, "top": 0.9, "right": 0.5, "bottom": 1.0}
    entry = CameraConfig.model_validate({**camera_of(small_archive).model_dump(), "captions": [caption]})
    mask = caption_mask(entry, 640, 360)
    assert mask is not None
    assert mask.sum() == 320 * 36
    assert mask[324:, :320].all()
    assert caption_mask(camera_of(small_archive), 640, 360) is None


def test_a_caption_without_an_inside_is_refused(small_archive: Any) -> None:
    caption = {"left": 0.5, "top": 0.9, "right": 0.5, "bottom": 1.0}
    with pytest.raises(ValueError, match="right must be more than left"):
        CameraConfig.model_validate({**camera_of(small_archive).model_dump(), "captions": [caption]})
