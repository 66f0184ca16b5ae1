"""What proving costs: verifying beside `sha256sum`, the log as it grows, an export beside a plain copy.

    python -m benchmarks.evidence

All that is compared is done in turns, so that what else the machine does falls on all alike. The medians' ratios count;
the seconds are this machine's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kaozheng_service.disputes import export
from kaozheng_service.evidence.canonical import canonical
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.merkle import leaf_hash, node_hash
from kaozheng_service.evidence.records import Marked
from kaozheng_service.verification.looking import Footage, look_at
from kaozheng_service.verification.pace import Pace

REPORT = Path("bench-out/evidence.md")
FILES, FILE_BYTES = 32, 16_000_000
SIZES = (10_000, 1_000_000, 10_000_000)
TURNS = 5
_MOMENT = datetime(2024, 11, 23, tzinfo=UTC)
_MARK = Marked(at=_MOMENT, room="9-201", moment=_MOMENT, mark="seal_opened", note="")


def in_turns(turns: int, **runs: Callable[[], object]) -> dict[str, float]:
    """The median seconds of each, all of them done once in each turn."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)
    return {name: sorted(times)[len(times) // 2] for name, times in seconds.items()}


def verifying(folder: Path) -> list[str]:
    """Files read from the disk and hashed, by one job and by two, beside the programs that everybody has."""
    footage = []
    for number in range(FILES):
        content = np.random.default_rng(number).bytes(FILE_BYTES)
        (folder / f"{number}").write_bytes(content)
        names = {"take": "", "window": "", "room": "", "camera": ""}
        digest = hashlib.sha256(content).hexdigest()
        footage.append(Footage(0, f"{number}", digest, **names, starts_at=_MOMENT, ends_at=_MOMENT))
    os.sync()
    paths = [str(folder / one.path) for one in footage]

    def forget() -> None:
        """As our own verification does: what memory holds says nothing of the disk."""
        for path in paths:
            with Path(path).open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def program(words: list[str], parts: int) -> Callable[[], None]:
        def run() -> None:
            forget()
            running = [
                subprocess.Popen([*words, *paths[part::parts]], stdout=subprocess.DEVNULL)
                for part in range(parts)
            ]
            if any(one.wait() for one in running):
                raise RuntimeError(f"{words[0]} failed")

        return run

    def ours(jobs: int) -> Callable[[], None]:
        def run() -> None:
            if any(look.fault for look in look_at(footage, folder, pace=Pace(jobs))):
                raise RuntimeError("a file is not as it was written")

        return run

    openssl = ["openssl", "dgst", "-sha256"]
    seconds = in_turns(
        TURNS,
        sha256sum_1=program(["sha256sum"], 1),
        openssl_1=program(openssl, 1),
        ours_1=ours(1),
        sha256sum_2=program(["sha256sum"], 2),
        openssl_2=program(openssl, 2),
        ours_2=ours(2),
    )
    size = FILES * FILE_BYTES / 1e6
    lines = [
        f"## Verifying {size:.0f} MB in {FILES} files, from the disk, {TURNS} turns",
        "",
        "| | one, MB/s | two, MB/s | two / one |",
        "|---|---|---|---|",
    ]
    for name, words in (
        ("ours", "kaozheng, jobs"),
        ("sha256sum", "sha256sum, processes"),
        ("openssl", "openssl dgst, processes"),
    ):
        one, two = seconds[f"{name}_1"], seconds[f"{name}_2"]
        lines.append(f"| {words} | {size / one:.0f} | {size / two:.0f} | {one / two:.2f} |")
    lines += [
        "",
        f"One core: {seconds['sha256sum_1'] / seconds['ours_1']:.2f} of sha256sum's rate, "
        f"{seconds['openssl_1'] / seconds['ours_1']:.2f} of openssl's. "
        f"Two: {seconds['sha256sum_2'] / seconds['ours_2']:.2f} of two sha256sum's, "
        f"{seconds['openssl_2'] / seconds['ours_2']:.2f} of two openssl's.",
    ]
    return lines


def growing(folder: Path) -> list[str]:
    """Appending to, and proving from, logs of three sizes, in turns."""
    logs = {size: _log_of(folder / str(size), size) for size in SIZES}
    appends = in_turns(TURNS, **{f"n{size}": (lambda log=log: _append(log)) for size, log in logs.items()})
    proofs = in_turns(TURNS, **{f"n{size}": (lambda log=log: _prove(log)) for size, log in logs.items()})
    plain = in_turns(TURNS, plain=lambda: _plain(folder / "plain"))["plain"]
    lines = [
        "## The log as it grows",
        "",
        f"Logs of one entry ({len(canonical(_MARK.to_json()))} bytes) so many times, with all of their hashes and "
        f"offsets; of the file of entries the last {TAIL} are written, the rest is a hole. 50 appends a turn, each "
        f"hashed, signed and synced; 200 proofs a turn. {TURNS} turns.",
        "",
        "| entries | an append, ms | to the smallest | to two plain synced writes | a proof, ms | its hashes | bytes |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, log in logs.items():
        append, proof = appends[f"n{size}"] / 50, proofs[f"n{size}"] / 200
        path = log.inclusion_proof(size // 3, size)
        smallest = appends[f"n{SIZES[0]}"] / 50
        lines.append(
            f"| {size:,} | {append * 1e3:.2f} | {append / smallest:.2f} | {append / plain * 50:.2f} "
            f"| {proof * 1e3:.3f} | {len(path)} | {32 * len(path)} |"
        )
    return lines


# Opening a log computes its last 1024 entries anew.
TAIL = 4096


def _log_of(folder: Path, size: int) -> EvidenceLog:
    """A log of ``size`` equal entries: then all complete subtrees of a level have the same hash."""
    folder.mkdir()
    line = canonical(_MARK.to_json()) + b"\n"
    with (folder / "entries.jsonl").open("wb") as file:
        file.truncate((size - TAIL) * len(line))
        file.seek(0, os.SEEK_END)
        file.write(line * TAIL)
    ends = np.arange(1, size + 1, dtype=">u8") * np.uint64(len(line))
    (folder / "offsets").write_bytes(ends.astype(">u8").tobytes())
    digest = leaf_hash(line[:-1])
    for level in range(size.bit_length()):
        with (folder / f"hashes-{level:02d}").open("wb") as file:
            left = size >> level
            while left:
                part = min(left, 1 << 16)
                file.write(digest * part)
                left -= part
        digest = node_hash(digest, digest)
    os.sync()
    return EvidenceLog(folder, origin="bench", key=Ed25519PrivateKey.generate())


def _append(log: EvidenceLog) -> None:
    for _ in range(50):
        log.append(_MARK)


def _prove(log: EvidenceLog) -> None:
    size = log.size
    for index in range(0, size - 1, max(size // 200, 1)):
        log.inclusion_proof(index, size)


def _plain(path: Path) -> None:
    """What an append does to the disk: a line and a head, both synced."""
    for _ in range(50):
        for name in (path, path.with_suffix(".head")):
            with name.open("ab") as file:
                file.write(b"x" * 130)
                file.flush()
                os.fsync(file.fileno())


def exporting(folder: Path) -> list[str]:
    """Five minutes of three cameras, beside copying and hashing the same files; viewing copies apart."""
    from tests.small_archive import SmallArchive

    media = _media(folder / "media")
    archive = SmallArchive.make(folder, media)
    begins = archive.local("2024-11-23 09:00:00")
    cameras = ("front-left", "back-right")
    rooms = {"9-101": cameras, "9-201": cameras[:1]}
    spans = {}
    for room, names in rooms.items():
        until = begins + timedelta(minutes=5)
        window = archive.window(begins, until, room=room, cameras=names, closed=False)
        for name in names:
            archive.take(window, name, begins, 10, segment_s=30)
        archive.close(window)
        spans[room] = (begins, until)
    files = sorted(archive.station.archive.rglob("seg-*.mp4"))
    size = sum(path.stat().st_size for path in files)
    viewing: list[float] = []
    kept = {name: getattr(export, name) for name in ("playable_copy", "hash_file")}
    made = 0

    def timed(name: str) -> Callable[..., object]:
        """Making a viewing copy, and hashing it: the other files that are hashed then are a few kB."""

        def run(*words: object, **more: object) -> object:
            begun = time.perf_counter()
            try:
                return kept[name](*words, **more)
            finally:
                viewing.append(time.perf_counter() - begun)

        return run

    def ours() -> None:
        nonlocal made
        made += 1
        for room, names in rooms.items():
            request = export.ExportRequest(room, names, *spans[room], reason="bench")
            export.export_bag(archive.station, request, folder / f"bag-{made}-{room}")

    def plain() -> None:
        nonlocal made
        made += 1
        (folder / f"plain-{made}").mkdir()
        for number, path in enumerate(files):
            copy = folder / f"plain-{made}" / f"{number}"
            shutil.copyfile(path, copy)
            with copy.open("rb") as file:
                hashlib.file_digest(file, "sha256")

    try:
        for name in kept:
            setattr(export, name, timed(name))
        seconds = in_turns(TURNS, plain=plain, ours=ours)
    finally:
        for name, original in kept.items():
            setattr(export, name, original)
    apart = sum(viewing) / TURNS
    alone = seconds["ours"] - apart
    return [
        "## Exporting five minutes of three cameras",
        "",
        f"{len(files)} files, {size / 1e6:.0f} MB, in two bags (two cameras of a room, one of another), {TURNS} turns.",
        "",
        "| | s | to copying and hashing |",
        "|---|---|---|",
        f"| copying and hashing the files | {seconds['plain']:.2f} | 1 |",
        f"| the bags without viewing copies | {alone:.2f} | {alone / seconds['plain']:.2f} |",
        f"| viewing copies, made and hashed | {apart:.2f} | {apart / seconds['plain']:.2f} |",
    ]


def _media(folder: Path) -> list[Path]:
    """Two files of 30 s at 4 Mbit/s, as a recorder leaves them."""
    import imageio_ffmpeg

    folder.mkdir()
    source = "testsrc2=size=640x360:rate=25,noise=alls=40:allf=t"
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, "-t", "60"]
    words += ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M", "-minrate", "4M", "-maxrate", "4M"]
    words += ["-bufsize", "4M", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-pix_fmt", "yuv420p"]
    words += ["-f", "segment", "-segment_time", "30", "-segment_start_number", "1", "-segment_format", "mp4"]
    words += ["-segment_format_options", "movflags=frag_keyframe+empty_moov+default_base_moof"]
    subprocess.run([*words, str(folder / "seg-%05d.mp4")], check=True, timeout=600)
    return sorted(folder.glob("seg-*.mp4"))[:2]


def evidence_report() -> list[str]:
    """All three, as lines of Markdown."""
    lines = ["# What proving costs", ""]
    for part in (verifying, growing, exporting):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            lines += [*part(Path(folder)), ""]
    return lines


def main() -> int:
    REPORT.parent.mkdir(exist_ok=True)
    lines = evidence_report()
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
