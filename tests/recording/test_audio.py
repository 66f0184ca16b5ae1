"""Whether sound is recorded: as the camera says, else as the site does; told from footage of a source with sound."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import av
import pytest
import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.ffmpeg import ffmpeg_path
from kaozheng_service.recording.completeness import window_completeness
from kaozheng_service.recording.windows import record_now
from kaozheng_service.station import Station, open_station

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml"
ROOM = "9-101"


@pytest.fixture(scope="module")
def with_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of a test picture and a tone."""
    path = tmp_path_factory.mktemp("sound") / "tone.mp4"
    command = [ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
    command += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000", "-t", "6", "-c:v", "libx264"]
    command += ["-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


def site_of(folder: Path, source: Path, site_says: bool | None, cameras: dict[str, bool | None]) -> Station:
    data = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    del data["timetable"]
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    data["recording"] = {"segment_s": 2} | ({} if site_says is None else {"audio": site_says})
    for camera in data["rooms"][0]["cameras"]:
        copy = folder / f"{camera['id']}.mp4"  # one source is one camera's
        copy.write_bytes(source.read_bytes())
        other: dict[str, Any] = {"source": copy.as_uri()}
        if cameras.get(camera["id"]) is not None:
            other["audio"] = cameras[camera["id"]]
        camera |= other
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return open_station(load_site(path))


def sounding(station: Station, camera: str) -> set[bool]:
    """Whether the footage of a camera has sound."""
    found = set()
    for path in station.archive.rglob(f"{camera}/*/take-*/seg-*.mp4"):
        with av.open(str(path)) as container:
            assert container.streams.video
            found.add(bool(container.streams.audio))
    return found


@pytest.mark.parametrize(
    ("site_says", "camera_says", "other_says"),
    [(None, None, False), (False, True, None)],
)
def test_a_camera_that_may_not_records_no_sound_and_the_other_does(
    tmp_path: Path,
    with_sound: Path,
    site_says: bool | None,
    camera_says: bool | None,
    other_says: bool | None,
) -> None:
    says = {"front-left": camera_says, "back-right": other_says}
    station = site_of(tmp_path, with_sound, site_says, says)
    window = record_now(station, ROOM, list(says), 3, kind="manual", title="sound")
    assert all(one.verdict == "complete" for one in window_completeness(station, window.id).cameras)
    assert sounding(station, "front-left") == {True}
    assert sounding(station, "back-right") == {False}
