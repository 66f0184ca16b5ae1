"""Every attack on a bag that we know, in one list: each is found by the library, by the bag's own verifier and by the
second reader that was written from docs/formats.md alone. The attacker always writes the manifests anew.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import imageio_ffmpeg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.disputes.verify import report_json, verify_bag
from kaozheng_service.evidence.keys import public_pem
from kaozheng_service.evidence.note import Checkpoint, parse_checkpoint, sign_checkpoint

EVIDENCE = "data/evidence/"
RECORDS, CHECKPOINT, CONSISTENCY = (
    EVIDENCE + name for name in ("records.jsonl", "checkpoint", "consistency.jsonl")
)
WINDOW = "20241123-090000-9-101-theory"
FOOTAGE = [f"data/segments/back-right/{WINDOW}/take-0001/seg-{number:05d}.mp4" for number in range(2, 8)]
FOOTAGE += [f"data/segments/front-left/{WINDOW}/take-0001/seg-{number:05d}.mp4" for number in (2, 3)]
FOOTAGE += [f"data/segments/front-left/{WINDOW}/take-0002/seg-{number:05d}.mp4" for number in (1, 2)]
VIEWING = [
    f"data/viewing/derived-viewing-copy-{name}.mp4" for name in ("back-right", "front-left-1", "front-left-2")
]
TEXTS = [
    RECORDS,
    CHECKPOINT,
    CONSISTENCY,
    EVIDENCE + "key.pub",
    "data/report.html",
    "README.txt",
    "verify.py",
]
TAGS = ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"]
SUBTITLES = [path.replace(".mp4", ".vtt") for path in VIEWING]
EVERY_FILE = [*FOOTAGE, *VIEWING, *SUBTITLES, "data/report.pdf", "data/by-hand.md", *TEXTS, *TAGS]
ONE, OTHER = FOOTAGE[2], FOOTAGE[3]

Attack = Callable[[Path, Any], None]
ATTACKS: dict[str, Attack] = {}


def attack(name: str) -> Callable[[Attack], Attack]:
    def enter(function: Attack) -> Attack:
        ATTACKS[name] = function
        return function

    return enter


def ffmpeg(*arguments: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def edit_entries(bag: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change records in place, each written in the same form again."""
    lines = lines_of(bag / RECORDS)
    for line in lines:
        body = json.loads(line["entry"])
        change(body)
        line["entry"] = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    write_lines(bag / RECORDS, lines)


def drop_entries(bag: Path, which: Callable[[dict[str, Any]], bool]) -> None:
    lines = [line for line in lines_of(bag / RECORDS) if not which(json.loads(line["entry"]))]
    write_lines(bag / RECORDS, lines)


def reseal(bag: Path) -> None:
    """Both manifests written anew, so that BagIt itself finds nothing."""
    files = sorted(
        path.relative_to(bag).as_posix()
        for path in bag.rglob("*")
        if path.is_file() and not path.is_symlink() and len(path.relative_to(bag).parts) < 16
    )
    payload = [path for path in files if path.startswith("data/")]
    tags = [path for path in files if path not in payload and path != TAGS[3]]
    for manifest, paths in ((TAGS[2], payload), (TAGS[3], tags)):
        lines = [f"{hashlib.sha256((bag / path).read_bytes()).hexdigest()}  {path}\n" for path in paths]
        (bag / manifest).write_text("".join(lines), encoding="utf-8")


@attack("a segment is removed")
def _(bag: Path, _scene: Any) -> None:
    (bag / ONE).unlink()


@attack("a segment is removed with its record")
def _(bag: Path, _scene: Any) -> None:
    (bag / ONE).unlink()
    drop_entries(bag, lambda body: body.get("number") == 4 and body.get("camera") == "back-right")


@attack("a segment is another camera's")
def _(bag: Path, _scene: Any) -> None:
    shutil.copyfile(bag / FOOTAGE[6], bag / ONE)


@attack("a segment is there twice")
def _(bag: Path, _scene: Any) -> None:
    shutil.copyfile(bag / ONE, (bag / ONE).with_name("seg-00099.mp4"))


@attack("a segment lies in the next one's place too")
def _(bag: Path, _scene: Any) -> None:
    shutil.copyfile(bag / ONE, bag / OTHER)


@attack("two segments change places")
def _(bag: Path, _scene: Any) -> None:
    one, other = (bag / ONE).read_bytes(), (bag / OTHER).read_bytes()
    (bag / ONE).write_bytes(other)
    (bag / OTHER).write_bytes(one)


@attack("a segment is re-muxed")
def _(bag: Path, _scene: Any) -> None:
    ffmpeg("-i", str(bag / ONE), "-c", "copy", str(bag / "again.mp4"))
    (bag / "again.mp4").replace(bag / ONE)


@attack("a segment is re-encoded")
def _(bag: Path, _scene: Any) -> None:
    ffmpeg("-i", str(bag / ONE), "-c:v", "libx264", "-preset", "ultrafast", str(bag / "again.mp4"))
    (bag / "again.mp4").replace(bag / ONE)


@attack("a segment is cut at its begin")
def _(bag: Path, _scene: Any) -> None:
    (bag / ONE).write_bytes((bag / ONE).read_bytes()[1:])


@attack("a segment is cut at its end")
def _(bag: Path, _scene: Any) -> None:
    (bag / ONE).write_bytes((bag / ONE).read_bytes()[:-1])


@attack("the record of a gap is removed")
def _(bag: Path, _scene: Any) -> None:
    drop_entries(bag, lambda body: body["kind"] == "gap")


@attack("the record of a gap is shortened")
def _(bag: Path, _scene: Any) -> None:
    def shorten(body: dict[str, Any]) -> None:
        if body["kind"] == "gap":
            body["ends_at"] = body["starts_at"]

    edit_entries(bag, shorten)


@attack("all times are shifted by an hour")
def _(bag: Path, _scene: Any) -> None:
    def shift(body: dict[str, Any]) -> None:
        for name in ("starts_at", "ends_at"):
            if name in body:
                body[name] = body[name].replace("T01:", "T02:")

    edit_entries(bag, shift)


@attack("the range that was asked for is narrowed")
def _(bag: Path, _scene: Any) -> None:
    def narrow(body: dict[str, Any]) -> None:
        if body["kind"] == "export":
            body["starts_at"] = body["ends_at"].replace(":13.", ":12.")

    edit_entries(bag, narrow)


@attack("a whole take is deleted with its records")
def _(bag: Path, _scene: Any) -> None:
    shutil.rmtree(bag / f"data/segments/front-left/{WINDOW}/take-0002")
    (bag / VIEWING[2]).unlink()
    drop_entries(bag, lambda body: body.get("take", "").endswith("front-left/take-0002"))


@attack("a tombstone is made up for a segment that is removed")
def _(bag: Path, _scene: Any) -> None:
    (bag / ONE).unlink()
    lines = lines_of(bag / RECORDS)
    gone = next(json.loads(line["entry"]) for line in lines if '"number":4' in line["entry"])
    entry = {"kind": "segment.deleted", "at": gone["at"], "path": gone["path"], "sha256": gone["sha256"]}
    entry |= {name: gone[name] for name in ("take", "window", "room", "camera", "number")}
    entry |= {"reason": "retention", "approved_by": []}
    lines.insert(-1, lines[-2] | {"entry": json.dumps(entry)})
    write_lines(bag / RECORDS, lines)


@attack("a record has the proof of another leaf")
def _(bag: Path, _scene: Any) -> None:
    lines = lines_of(bag / RECORDS)
    lines[2]["proof"] = lines[3]["proof"]
    write_lines(bag / RECORDS, lines)


@attack("a record says that it is another leaf")
def _(bag: Path, _scene: Any) -> None:
    lines = lines_of(bag / RECORDS)
    lines[2]["index"] += 1
    write_lines(bag / RECORDS, lines)


@attack("an inner node is passed off as a record")
def _(bag: Path, _scene: Any) -> None:
    lines = lines_of(bag / RECORDS)
    lines[2]["proof"] = lines[2]["proof"][1:]
    write_lines(bag / RECORDS, lines)


@attack("two records change places")
def _(bag: Path, _scene: Any) -> None:
    lines = lines_of(bag / RECORDS)
    write_lines(bag / RECORDS, [lines[0], lines[2], lines[1], *lines[3:]])


@attack("a record stands there twice")
def _(bag: Path, _scene: Any) -> None:
    lines = lines_of(bag / RECORDS)
    write_lines(bag / RECORDS, [lines[0], *lines])


@attack("the viewing copy is another camera's")
def _(bag: Path, _scene: Any) -> None:
    shutil.copyfile(bag / VIEWING[1], bag / VIEWING[0])


@attack("the report tells another story")
def _(bag: Path, _scene: Any) -> None:
    text = (bag / "data/report.html").read_text(encoding="utf-8")
    (bag / "data/report.html").write_text(text.replace("front-left", "front-1eft"), encoding="utf-8")


@attack("the verifier in the bag says yes to everything")
def _(bag: Path, _scene: Any) -> None:
    (bag / "verify.py").write_text("print('✓ 完好')\n", encoding="utf-8")


@attack("a module lies beside the verifier that Python would load in place of its own")
def _(bag: Path, _scene: Any) -> None:
    (bag / "hashlib.py").write_text("raise SystemExit(0)\n", encoding="utf-8")


@attack("the checkpoint has another root")
def _(bag: Path, _scene: Any) -> None:
    head = parse_checkpoint((bag / CHECKPOINT).read_text(encoding="utf-8"))
    text = (bag / CHECKPOINT).read_text(encoding="utf-8")
    forged = base64.b64encode(bytes([head.root[0] ^ 1]) + head.root[1:]).decode()
    (bag / CHECKPOINT).write_text(
        text.replace(base64.b64encode(head.root).decode(), forged), encoding="utf-8"
    )


@attack("the checkpoint is signed by a key of the attacker's")
def _(bag: Path, _scene: Any) -> None:
    head = parse_checkpoint((bag / CHECKPOINT).read_text(encoding="utf-8"))
    (bag / CHECKPOINT).write_text(sign_checkpoint(head, Ed25519PrivateKey.generate()), encoding="utf-8")


@attack("checkpoint and key are the attacker's")
def _(bag: Path, _scene: Any) -> None:
    key = Ed25519PrivateKey.generate()
    head = parse_checkpoint((bag / CHECKPOINT).read_text(encoding="utf-8"))
    (bag / CHECKPOINT).write_text(sign_checkpoint(head, key), encoding="utf-8")
    (bag / EVIDENCE / "key.pub").write_text(public_pem(key.public_key()), encoding="ascii")


@attack("the checkpoint is another site's")
def _(bag: Path, _scene: Any) -> None:
    head = parse_checkpoint((bag / CHECKPOINT).read_text(encoding="utf-8"))
    other = sign_checkpoint(Checkpoint("kaozheng/other", head.size, head.root), Ed25519PrivateKey.generate())
    (bag / CHECKPOINT).write_text(other, encoding="utf-8")


@attack("the checkpoint is an older one of the same log")
def _(bag: Path, scene: Any) -> None:
    (bag / CHECKPOINT).write_text(scene.papers[0], encoding="utf-8")


@attack("text is added to the checkpoint")
def _(bag: Path, _scene: Any) -> None:
    with (bag / CHECKPOINT).open("a", encoding="utf-8") as file:
        file.write("— somebody AAAA\n")


@attack("spare bits of the signature's base64 are set")
def _(bag: Path, _scene: Any) -> None:
    text = (bag / CHECKPOINT).read_text(encoding="utf-8")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = text[-3]
    spare = text[:-3] + alphabet[alphabet.index(last) | 1] + text[-2:]
    assert text.endswith("=\n")
    assert spare != text
    (bag / CHECKPOINT).write_text(spare, encoding="utf-8")


@attack("a consistency proof is of another root")
def _(bag: Path, _scene: Any) -> None:
    lines = lines_of(bag / CONSISTENCY)
    lines[0]["root"] = "00" * 32
    write_lines(bag / CONSISTENCY, lines)


@attack("a consistency proof is of another size")
def _(bag: Path, _scene: Any) -> None:
    lines = lines_of(bag / CONSISTENCY)
    lines[0]["size"] -= 1
    write_lines(bag / CONSISTENCY, lines)


@attack("a manifest points out of the bag")
def _(bag: Path, _scene: Any) -> None:
    reseal(bag)
    with (bag / TAGS[2]).open("a", encoding="utf-8") as file:
        file.write(f"{'0' * 64}  data/../../outside.txt\n")


@attack("a segment is a link to a file outside")
def _(bag: Path, _scene: Any) -> None:
    outside = bag.parent / "outside.mp4"
    (bag / ONE).replace(outside)
    (bag / ONE).symlink_to(outside)


@attack("the folder of the evidence is a link to one outside")
def _(bag: Path, _scene: Any) -> None:
    outside = bag.parent / "outside"
    (bag / EVIDENCE).rename(outside)
    (bag / "data/evidence").symlink_to(outside)


@attack("a segment is a pipe that never ends")
def _(bag: Path, _scene: Any) -> None:
    (bag / ONE).unlink()
    os.mkfifo(bag / ONE)


@attack("a record holds brackets by the million")
def _(bag: Path, _scene: Any) -> None:
    with (bag / RECORDS).open("a", encoding="utf-8") as file:
        file.write("[" * 2_000_000 + "\n")


@attack("a record is a line of many megabytes")
def _(bag: Path, _scene: Any) -> None:
    with (bag / RECORDS).open("a", encoding="utf-8") as file:
        file.write('{"index": 1, "entry": "' + "x" * 30_000_000 + '", "proof": []}\n')


@attack("a record's index has millions of digits")
def _(bag: Path, _scene: Any) -> None:
    with (bag / RECORDS).open("a", encoding="utf-8") as file:
        file.write('{"index": ' + "9" * 3_000_000 + ', "entry": "{}", "proof": []}\n')


@attack("folders lie in each other by the thousand")
def _(bag: Path, _scene: Any) -> None:
    here = os.open(bag, os.O_RDONLY)
    for _level in range(3000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


@attack("files by the ten thousand are added")
def _(bag: Path, _scene: Any) -> None:
    for number in range(20_000):
        (bag / f"data/{number}").touch()


@attack("a file's name writes a verdict of its own on the terminal")
def _(bag: Path, _scene: Any) -> None:
    (bag / "data/x\n✓ 完好 INTACT\x1b[8m").write_bytes(b"")


# Where the manifests cannot say what the attacker did: they are left as the attack wrote them.
UNSEALED = {"a manifest points out of the bag", "files by the ten thousand are added"}
UNSEALED |= {"folders lie in each other by the thousand"}
UNSEALED |= {"a file's name writes a verdict of its own on the terminal"}


@pytest.fixture(scope="session")
def second_reader() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "evidence" / "second_reader.py"
    spec = importlib.util.spec_from_file_location("second_reader", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["second_reader"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_verifier(scene: Any, bag: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The verifier of the untouched bag, alone: no installed package, no site, no environment."""
    command = [sys.executable, "-I", "-S", str(scene.bag / "verify.py"), str(bag), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, env={})


def outcomes(scene: Any, reader: ModuleType, bag: Path, printed: str | None = None) -> dict[str, str]:
    """What each of the three says; the library and the program must agree to the letter."""
    papers = [printed] if printed is not None else []
    report = verify_bag(bag, printed=papers)
    run = run_verifier(scene, bag, "--json", *(f"--checkpoint={text}" for text in papers))
    assert run.stderr == ""
    assert json.loads(run.stdout) == json.loads(json.dumps(report_json(report)))
    assert run.returncode == (0 if report.outcome == "intact" else 1)
    judged = reader.read_bag(bag, printed=printed)
    return {"library and program": report.outcome, "second reader": judged.outcome}


def intact(outcome: str) -> dict[str, str]:
    return {"library and program": outcome, "second reader": outcome}


def test_the_list_of_files_is_that_of_the_bag(anchored: Any) -> None:
    files = {path.relative_to(anchored.bag).as_posix() for path in anchored.bag.rglob("*") if path.is_file()}
    assert files == set(EVERY_FILE)


def test_the_untouched_bag_is_intact_to_all_and_follows_from_both_papers(
    anchored: Any, second_reader: ModuleType
) -> None:
    assert outcomes(anchored, second_reader, anchored.bag) == intact("intact")
    for paper in anchored.papers:
        assert outcomes(anchored, second_reader, anchored.bag, paper) == intact("intact")
        told = run_verifier(anchored, anchored.bag, "--checkpoint", paper)
        size = parse_checkpoint(paper).size
        assert f"与纸上的检查点一致：日志由其前{size}条延续而来" in told.stdout


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_is_found_by_all_three(
    anchored: Any, second_reader: ModuleType, tmp_path: Path, name: str
) -> None:
    bag = Path(shutil.copytree(anchored.bag, tmp_path / "bag"))
    ATTACKS[name](bag, anchored)
    if name not in UNSEALED:
        reseal(bag)
    if name == "checkpoint and key are the attacker's":
        # The export's record names the key's hash, so even without a key from elsewhere it does not pass.
        assert "changed" in {finding.code for finding in verify_bag(bag).findings}
    told = outcomes(anchored, second_reader, bag)
    words = run_verifier(anchored, bag).stdout
    # pytest cannot take away folders this deep.
    subprocess.run(["rm", "-rf", str(bag)], check=True)
    assert told == intact("altered")
    assert words.splitlines()[-1] == "✗ 不完好：见以上各项 / ALTERED"
    assert sum(line.startswith("✓") for line in words.splitlines()) == 0
    assert "\x1b" not in words


@pytest.mark.parametrize("name", EVERY_FILE)
def test_no_bit_of_any_file_can_be_changed(
    anchored: Any, second_reader: ModuleType, tmp_path: Path, name: str
) -> None:
    bag = Path(shutil.copytree(anchored.bag, tmp_path / "bag"))
    content = (bag / name).read_bytes()
    for number, at in enumerate((0, len(content) // 3, len(content) // 2, len(content) - 1)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << number
        (bag / name).write_bytes(flipped)
        assert verify_bag(bag).outcome == "altered", at
        assert second_reader.read_bag(bag).outcome == "altered", at
    run = run_verifier(anchored, bag)
    assert (run.returncode, run.stdout.splitlines()[-1]) == (1, "✗ 不完好：见以上各项 / ALTERED")


def test_a_pipe_in_place_of_the_evidence_does_not_hang_the_verifiers(anchored: Any, tmp_path: Path) -> None:
    for name in (RECORDS, CHECKPOINT, EVIDENCE + "key.pub", CONSISTENCY, TAGS[2], "bag-info.txt"):
        bag = Path(shutil.copytree(anchored.bag, tmp_path / hashlib.sha256(name.encode()).hexdigest()))
        (bag / name).unlink()
        os.mkfifo(bag / name)
        assert ("not_a_file", name) in {(one.code, one.path) for one in verify_bag(bag).findings}
        assert run_verifier(anchored, bag).returncode == 1


def test_a_text_of_terabytes_is_not_taken_into_memory(anchored: Any, tmp_path: Path) -> None:
    bag = Path(shutil.copytree(anchored.bag, tmp_path / "bag"))
    with (bag / RECORDS).open("r+b") as file:
        file.truncate((1 << 30) + 1)
    assert ("too_long", RECORDS) in {(one.code, one.path) for one in verify_bag(bag).findings}


@pytest.mark.parametrize(
    ("change", "outcome", "code"),
    [
        (lambda text: re.sub(r"kaozheng/\S+", "kaozheng/other", text), "cannot_judge", "printed_elsewhere"),
        (lambda text: text.replace("\n", "\n1", 1), "altered", "printed_signature"),
    ],
)
def test_another_paper_does_not_pass(
    anchored: Any, change: Callable[[str], str], outcome: str, code: str
) -> None:
    report = verify_bag(anchored.bag, printed=[change(anchored.papers[0])])
    assert (report.outcome, report.findings[0].code) == (outcome, code)


def test_a_paper_whose_proof_was_taken_out_cannot_be_judged(
    anchored: Any, second_reader: ModuleType, tmp_path: Path
) -> None:
    bag = Path(shutil.copytree(anchored.bag, tmp_path / "bag"))
    (bag / CONSISTENCY).unlink()
    reseal(bag)
    assert outcomes(anchored, second_reader, bag, anchored.papers[1]) == intact("cannot_judge")


@pytest.mark.parametrize("text", ["mallory", "kaozheng/demo\n12\n", "", "/nowhere/paper.txt"])
def test_what_is_no_checkpoint_is_bad_input(anchored: Any, text: str) -> None:
    run = run_verifier(anchored, anchored.bag, f"--checkpoint={text}")
    assert (run.returncode, run.stdout) == (2, "")
    assert "不是检查点" in run.stderr


def test_every_test_that_the_threat_model_names_is_there() -> None:
    folder = Path(__file__).parent
    text = (folder.parents[1] / "docs" / "threat-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+\.py)::(\w+)`", text)
    assert len(named) > 10
    for file, test in named:
        assert f"def {test}(" in (folder / file).read_text(encoding="utf-8"), test
    for file in re.findall(r"`((?:\w+/)?test_\w+\.py)`", text):
        assert (folder / file).exists() or (folder.parent / file).exists(), file


def test_the_second_reader_follows_a_real_log_to_its_signed_head(
    disputed: Any, second_reader: ModuleType
) -> None:
    log = disputed.station.log
    entries = disputed.station.state / "log" / "entries.jsonl"
    assert second_reader.read_log(entries, log.checkpoint(), log.public_key).size == log.size
    entries.write_bytes(entries.read_bytes().replace(b"stream_lost", b"disk_full__"))
    with pytest.raises(ValueError, match="do not lead"):
        second_reader.read_log(entries, log.checkpoint(), log.public_key)


@pytest.mark.parametrize(
    "kind", ["backfill.opened", "backfill.segment", "backfill.closed", "gap.healed", "gap"]
)
def test_backfilled_footage_is_judged_the_same_by_all_three(
    anchored: Any, disputed: Any, second_reader: ModuleType, tmp_path: Path, kind: str
) -> None:
    lost = disputed.begins + timedelta(seconds=6)
    disputed.archive.backfill(disputed.window, "front-left", lost, 2)
    bag = tmp_path / "bag"
    export_bag(disputed.station, disputed.request(), bag)
    assert outcomes(anchored, second_reader, bag) == intact("intact")
    drop_entries(bag, lambda body: body["kind"] == kind)
    reseal(bag)
    assert outcomes(anchored, second_reader, bag) == intact("altered")


def test_a_hole_that_nobody_explained_is_judged_the_same_by_all_three(
    anchored: Any, small_archive: Any, second_reader: ModuleType, tmp_path: Path
) -> None:
    begins = small_archive.local("2024-11-24 09:00:00")
    ends = begins + timedelta(seconds=10)
    window = small_archive.window(begins, ends, room="9-101", cameras=("front-left",), closed=False)
    small_archive.take(window, "front-left", begins, 5, without=(3,))
    request = ExportRequest("9-101", ("front-left",), begins, ends, "a hole")
    export_bag(small_archive.station, request, tmp_path / "bag")
    assert outcomes(anchored, second_reader, tmp_path / "bag") == intact("cannot_judge")
