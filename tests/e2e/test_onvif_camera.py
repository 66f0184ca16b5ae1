"""A camera that is named by its ONVIF device only is recorded like any other."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ipycam import CameraConfig, IPCamera
from ipycam.http import IPCameraHTTPHandler
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Gap, Take
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.windows import record_now
from kaozheng_service.rehearsal import HOW_TO_INSTALL, RehearsalServer, gstreamer_python
from kaozheng_service.station import open_station
from sqlalchemy import select

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).resolve().parents[2]
ROOM = "9-101"
PASSWORD = "p@ss/<word>&"  # noqa: S105 - of servers that this test starts


def test_a_device_is_asked_for_its_stream_and_recorded_and_one_that_refuses_the_login_is_a_signed_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: Callable[[bool, str], None]
) -> None:
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    monkeypatch.setenv("KAOZHENG_TEST_PASSWORD", PASSWORD)
    monkeypatch.setenv("KAOZHENG_TEST_WRONG", "wr0ng@secret")
    clip = next((PROJECT / "sample_media" / ROOM).glob("*.mp4"))
    camera = IPCamera(CameraConfig(local_ip="127.0.0.1", username="admin", password=PASSWORD))
    handler = type("Handler", (IPCameraHTTPHandler,), {"camera": camera, "log_message": lambda *_: None})
    with (
        RehearsalServer({"/live": clip}, user="admin", password=PASSWORD) as streaming,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as device,
    ):
        camera.config.onvif_port = device.server_address[1]
        camera.config.rtsp_port, camera.config.main_stream_name = streaming.port, "live"
        threading.Thread(target=device.serve_forever, daemon=True).start()
        known, refused = write_site(tmp_path / "site.yaml", camera.config.onvif_port)
        station = open_station(load_site(tmp_path / "site.yaml"))
        window = record_now(station, ROOM, [known, refused], 6, kind="test", title="测试")
        device.shutdown()
    with station.sessions() as session:
        assert {take.camera_id for take in session.scalars(select(Take))} == {known}
        gaps = {gap.camera_id: gap for gap in session.scalars(select(Gap))}
    assert set(gaps) == {refused}
    assert gaps[refused].cause == Cause.AUTH_FAILED
    assert (gaps[refused].starts_at, gaps[refused].ends_at) == (window.starts_at, window.ends_at)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert PASSWORD.encode() not in content
        assert b"wr0ng" not in content


def write_site(path: Path, port: int) -> tuple[str, str]:
    """A room whose first two cameras are profiles of one device; returns their ids."""
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    data["credentials"] = [
        {"id": "right", "username": "admin", "password_env": "KAOZHENG_TEST_PASSWORD"},
        {"id": "wrong", "username": "admin", "password_env": "KAOZHENG_TEST_WRONG"},
    ]
    first, second = data["rooms"][0]["cameras"][:2]
    first |= {"source": f"onvif://127.0.0.1:{port}", "credential": "right"}
    second |= {"source": f"onvif://127.0.0.1:{port}/2", "credential": "wrong"}
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return first["id"], second["id"]
