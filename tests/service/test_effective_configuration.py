"""Which configuration the service works by is in the log: once for each that was in force, and without logins."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml
from kaozheng_service.config.effective import effective_text, note_configuration
from kaozheng_service.config.site import Site, load_site

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml"


def site_with(folder: Path, **changed: Any) -> Site:
    body = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    body.pop("timetable")
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(body | changed, allow_unicode=True), encoding="utf-8")
    return load_site(path)


def records(station: Any) -> list[dict[str, Any]]:
    return [body for _, body in station.log.find("config.effective")]


def test_a_configuration_is_signed_once_and_again_when_it_changes(small_archive: Any, tmp_path: Path) -> None:
    station = small_archive.station
    first, again = (note_configuration(site_with(tmp_path), station.log, station.state) for _ in range(2))
    assert first == again
    changed = site_with(tmp_path, recording={"segment_s": 10})
    note_configuration(changed, station.log, station.state)
    note_configuration(site_with(tmp_path), station.log, station.state)
    bodies = records(station)
    assert len(bodies) == 3
    assert bodies[0]["effective_sha256"] == bodies[2]["effective_sha256"] != bodies[1]["effective_sha256"]
    file = hashlib.sha256((tmp_path / "site.yaml").read_bytes()).hexdigest()
    assert bodies[2]["file_sha256"] == file
    for body in bodies:
        kept = (station.state / "configurations" / f"{body['effective_sha256']}.json").read_bytes()
        assert hashlib.sha256(kept).hexdigest() == body["effective_sha256"]


def test_a_comment_changes_the_file_and_not_what_it_means(small_archive: Any, tmp_path: Path) -> None:
    station = small_archive.station
    note_configuration(site_with(tmp_path), station.log, station.state)
    with (tmp_path / "site.yaml").open("a", encoding="utf-8") as file:
        file.write("# noted\n")
    note_configuration(load_site(tmp_path / "site.yaml"), station.log, station.state)
    one, two = records(station)
    assert one["file_sha256"] != two["file_sha256"]
    assert one["effective_sha256"] == two["effective_sha256"]


def test_a_note_that_was_lost_costs_one_record_and_nothing_else(small_archive: Any, tmp_path: Path) -> None:
    station = small_archive.station
    for text in (None, "torn", json.dumps({"leaf": 99_999})):
        if text is not None:
            (station.state / "configurations" / "last.json").write_text(text, encoding="utf-8")
        note_configuration(site_with(tmp_path), station.log, station.state)
    assert len({json.dumps({**body, "at": ""}) for body in records(station)}) == 1


def test_no_login_and_no_webhook_address_is_in_what_is_kept(tmp_path: Path) -> None:
    body = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    body["rooms"][0]["cameras"][0]["source"] = "rtsp://10.0.0.9/stream?user=hall&password=swordfish"
    hook = {"id": "robot", "url": "https://robot.example/send?access_token=abcdef0123"}
    site = site_with(
        tmp_path,
        rooms=body["rooms"],
        alarms={"webhooks": [hook]},
        credentials=[{"id": "hall", "username": "watcher", "password_env": "HALL_PASSWORD"}],
    )
    text = effective_text(site).decode()
    for secret in ("swordfish", "abcdef0123", "watcher", "HALL_PASSWORD"):
        assert secret not in text
    assert json.loads(text)["recording"]["segment_s"] == 30
