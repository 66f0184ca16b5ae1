"""A camera's substream is recorded, signed and exported as a camera of its own, and nothing is judged by it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kaozheng_service.clock import now
from kaozheng_service.config.geometry import room_cameras
from kaozheng_service.config.site import load_site
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.disputes.verify import verify_archive, verify_bag
from kaozheng_service.errors import UserError
from kaozheng_service.recording.completeness import window_completeness
from kaozheng_service.recording.expectations import add_window
from kaozheng_service.recording.windows import record_now
from kaozheng_service.station import open_station

PROJECT = Path(__file__).resolve().parents[2]
ROOM = "9-101"


def site_file(folder: Path, substream: dict[str, Any]) -> Path:
    """One room of two cameras that are looped files; the first has a substream."""
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    del data["timetable"]
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    for camera in data["rooms"][0]["cameras"]:
        camera["source"] = (PROJECT / "sample_media" / ROOM / f"{camera['id']}.mp4").as_uri()
    data["rooms"][0]["cameras"][0]["substream"] = substream
    data["recording"] = {"segment_s": 2}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def source(folder: Path) -> str:
    copy = folder / "sub.mp4"
    copy.write_bytes((PROJECT / "sample_media" / ROOM / "front-left.mp4").read_bytes())
    return copy.as_uri()


def test_it_is_recorded_complete_and_exported_under_its_own_id(tmp_path: Path) -> None:
    station = open_station(
        load_site(site_file(tmp_path, {"id": "front-left-sub", "source": source(tmp_path)}))
    )
    window = record_now(station, ROOM, ["front-left", "front-left-sub"], 4, kind="manual", title="substream")
    found = {one.camera_id: one.verdict for one in window_completeness(station, window.id).cameras}
    assert found == {"front-left": "complete", "front-left-sub": "complete"}
    assert verify_archive(station).outcome == "intact"
    request = ExportRequest(
        room_id=ROOM,
        camera_ids=("front-left-sub",),
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        reason="test",
    )
    export_bag(station, request, tmp_path / "bag")
    assert verify_bag(tmp_path / "bag").outcome == "intact"


def test_windows_record_it_and_coverage_does_not_know_it(tmp_path: Path) -> None:
    station = open_station(
        load_site(site_file(tmp_path, {"id": "front-left-sub", "source": source(tmp_path)}))
    )
    begins = now() + timedelta(hours=1)
    window = add_window(station, ROOM, begins, begins + timedelta(hours=1))
    assert window.cameras[:2] == ("front-left", "front-left-sub")
    assert len(window.cameras) == 3
    assert [one.id for one in room_cameras(station.site.room(ROOM))] == ["front-left", "back-right"]
    with pytest.raises(UserError, match="no camera 'front-left-sub'"):
        station.site.room(ROOM).camera("front-left-sub")


@pytest.mark.parametrize(
    ("substream", "said"),
    [
        ({"id": "back-right", "source": "rtsp://10.0.0.9/2"}, "camera id 'back-right' is given 2 times"),
        ({"id": "sub", "source": "http://10.0.0.9/2"}, "substream"),
    ],
)
def test_an_id_that_is_taken_and_what_is_no_stream_are_refused(
    tmp_path: Path, substream: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        load_site(site_file(tmp_path, substream))


def test_the_command_records_all_streams_of_a_room(tmp_path: Path) -> None:
    path = site_file(tmp_path, {"id": "front-left-sub", "source": source(tmp_path)})
    command = [sys.executable, "-m", "kaozheng_service", "record", "-c", str(path), "-r", ROOM]
    done = subprocess.run(
        [*command, "--for", "3s", "--json"], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "front-left-sub" in done.stdout
