"""Render the demo rooms through their cameras into the clips that `make demo` and the tests play.

python sample_media/render.py            what changed since the manifest was written
python sample_media/render.py --all      everything
python sample_media/render.py --still DIR 9-201/front-left     one picture, to look at
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import yaml
from rendering.film import Encoding, film, still
from rendering.manifest import RENDERER, file_sha256, read_manifest, scene_sha256, shows, write_manifest

HERE = Path(__file__).resolve().parent
SITE = HERE.parent / "configs" / "demo" / "site.yaml"
MANIFEST = HERE / "MANIFEST.json"
# One camera of the site sends H.265, as a mixed site does.
HEVC_CLIP = "9-201/back-left.mp4"
# Constant rate factors that keep all clips together under 15 MB; letters on the bag and cards stay readable.
H264_QUALITY, HEVC_QUALITY = 33, 32
PROCESSES = 2


@dataclass(frozen=True)
class Job:
    """One clip to make."""

    name: str
    room: dict
    camera: dict
    seed: int
    encoding: Encoding


def main(arguments: list[str] | None = None) -> int:
    """Render what is asked for; 0 if all was made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", help="ROOM/CAMERA; all that changed if none is named")
    parser.add_argument("--all", action="store_true", help="also what has not changed")
    parser.add_argument("--still", type=Path, metavar="DIR", help="write one PNG a camera and no clip")
    parser.add_argument("--at", type=float, default=2.0, help="moment of the still, seconds")
    options = parser.parse_args(arguments)
    known = jobs(SITE)
    wanted = [job for job in known if not options.clips or job.name.removesuffix(".mp4") in options.clips]
    if options.still:
        for job in wanted:
            options.still.mkdir(parents=True, exist_ok=True)
            picture = still(job.room, job.camera, job.seed, options.at)
            cv2.imwrite(str(options.still / f"{job.room['id']}-{job.camera['id']}.png"), picture)
        return 0
    made = read_manifest(MANIFEST)
    if not options.all and not options.clips:
        wanted = [job for job in wanted if not is_current(job, made)]
    started = time.monotonic()
    with ProcessPoolExecutor(PROCESSES) as pool:
        running = {pool.submit(_render, job): job for job in wanted}
        for number, done in enumerate(as_completed(running), 1):
            job = running[done]
            made[job.name] = done.result()
            size = made[job.name]["bytes"] / 1e6
            print(
                f"[{number}/{len(wanted)}] {job.name} {size:.2f} MB after {time.monotonic() - started:.0f} s",
                flush=True,
            )
            kept = {job.name for job in known}
            write_manifest(MANIFEST, {name: clip for name, clip in made.items() if name in kept})
    total = sum(clip["bytes"] for clip in read_manifest(MANIFEST).values()) / 1e6
    print(f"{len(wanted)} rendered, {len(known) - len(wanted)} as they were; all clips {total:.2f} MB")
    return 0


def jobs(site: Path) -> list[Job]:
    """Every clip that the demo site needs."""
    rooms = yaml.safe_load(site.read_text(encoding="utf-8"))["rooms"]
    found = []
    for number, room in enumerate(rooms):
        for camera in room["cameras"]:
            name = f"{room['id']}/{camera['id']}.mp4"
            hevc = name == HEVC_CLIP
            encoding = Encoding("hevc", HEVC_QUALITY) if hevc else Encoding("h264", H264_QUALITY)
            # The same people on every camera of a room.
            found.append(Job(name, room, camera, 20241123 + number, encoding))
    return found


def is_current(job: Job, made: dict[str, dict]) -> bool:
    """Whether the clip on disk shows this scene, as this renderer draws it."""
    clip = made.get(job.name)
    return (
        clip is not None
        and clip["renderer"] == RENDERER
        and (clip["codec"], clip["quality"]) == (job.encoding.codec, job.encoding.quality)
        and clip["scene_sha256"] == scene_sha256(job.room, job.camera)
        and (HERE / job.name).is_file()
        and clip["sha256"] == file_sha256(HERE / job.name)
    )


def _render(job: Job) -> dict:
    path = HERE / job.name
    film(
        job.room,
        job.camera,
        job.seed,
        job.encoding,
        path,
        lambda what: print(f"  {job.name}: {what}", flush=True),
    )
    return {
        "path": job.name,
        "shows": shows(job.room, job.camera),
        "bytes": path.stat().st_size,
        "codec": job.encoding.codec,
        "quality": job.encoding.quality,
        "renderer": RENDERER,
        "sha256": file_sha256(path),
        "scene_sha256": scene_sha256(job.room, job.camera),
    }


if __name__ == "__main__":
    sys.exit(main())
