"""Whatever is done to an export is found, named, and never passes: also where the manifests were written anew."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bagit
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kaozheng_service.database import Gap, Segment
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.standalone.assemble import standalone_verifier
from kaozheng_service.disputes.verify import Report, report_json, verify_bag
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.keys import public_pem
from kaozheng_service.evidence.merkle import leaf_hash, node_hash
from kaozheng_service.evidence.note import Checkpoint, parse_checkpoint, sign_checkpoint, verifier_key

RECORDS = "data/evidence/records.jsonl"
CHECKPOINT = "data/evidence/checkpoint"


@pytest.fixture
def bag(pristine_bag: Path, tmp_path: Path) -> Path:
    """A copy to be tampered with."""
    return Path(shutil.copytree(pristine_bag, tmp_path / "bag"))


def reseal(bag: Path) -> None:
    """What an attacker does next: every manifest written anew, so that BagIt itself finds nothing."""
    files = sorted(path.relative_to(bag).as_posix() for path in bag.rglob("*") if path.is_file())
    payload = [path for path in files if path.startswith("data/")]
    size = sum((bag / path).stat().st_size for path in payload)
    info = (bag / "bag-info.txt").read_text(encoding="utf-8")
    info = re.sub(r"Payload-Oxum: .*", f"Payload-Oxum: {size}.{len(payload)}", info)
    (bag / "bag-info.txt").write_text(info, encoding="utf-8")
    tags = [path for path in files if path not in payload and path != "tagmanifest-sha256.txt"]
    for manifest, paths in (("manifest-sha256.txt", payload), ("tagmanifest-sha256.txt", tags)):
        lines = [f"{sha256(bag / path)}  {path}\n" for path in paths]
        (bag / manifest).write_text("".join(lines), encoding="utf-8")
    bagit.Bag(str(bag)).validate()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings if finding.severity != "note"}


def segment(bag: Path, camera: str, number: int, take: int = 1) -> Path:
    return next((bag / "data/segments" / camera).rglob(f"take-{take:04d}/seg-{number:05d}.mp4"))


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def rewrite_lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(f"{line}\n" for line in change(lines)), encoding="utf-8")


def entry(line: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.loads(line)["entry"])
    return body


def test_an_export_as_it_was_made_is_intact(pristine_bag: Path) -> None:
    report = verify_bag(pristine_bag)
    assert report.outcome == "intact"
    assert (report.segments, report.claim["room"], len(report.gaps)) == (10, "9-101", 1)
    assert [finding.code for finding in report.findings] == ["key_from_bag"]


@pytest.mark.parametrize("resealed", [False, True])
def test_one_changed_byte_is_named(bag: Path, resealed: bool) -> None:
    victim = segment(bag, "back-right", 4)
    flip(victim, victim.stat().st_size // 2)
    if resealed:
        reseal(bag)
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert report.findings[0].path == victim.relative_to(bag).as_posix()
    assert report.findings[0].code == "changed"


@pytest.mark.parametrize("resealed", [False, True])
def test_a_missing_segment_is_named(bag: Path, resealed: bool) -> None:
    victim = segment(bag, "front-left", 1, take=2)
    victim.unlink()
    if resealed:
        reseal(bag)
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert [(finding.code, finding.path) for finding in report.findings if finding.severity == "altered"] == [
        ("missing", victim.relative_to(bag).as_posix())
    ]


@pytest.mark.parametrize("resealed", [False, True])
def test_two_exchanged_segments_are_named(bag: Path, resealed: bool) -> None:
    one, two = segment(bag, "back-right", 4), segment(bag, "back-right", 5)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    if resealed:
        reseal(bag)
    report = verify_bag(bag)
    swapped = {finding.path: finding.message for finding in report.findings if finding.code == "swapped"}
    assert set(swapped) == {path.relative_to(bag).as_posix() for path in (one, two)}
    assert "这里放的是 data/segments/back-right" in swapped[one.relative_to(bag).as_posix()]
    assert report.outcome == "altered"


def test_a_cut_tail_is_named_though_files_records_and_manifests_fit(bag: Path) -> None:
    for number in (6, 7):
        segment(bag, "back-right", number).unlink()

    def drop(lines: list[str]) -> list[str]:
        return [
            line
            for line in lines
            if not (entry(line).get("camera") == "back-right" and entry(line).get("number", 0) > 5)
        ]

    rewrite_lines(bag / RECORDS, drop)
    reseal(bag)
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert {"missing", "record_missing", "cut_tail"} <= codes(report)
    assert any(
        "back-right/take-0001：片段5之后的尾部被截去" in finding.message for finding in report.findings
    )


def test_without_the_record_of_the_export_nothing_is_intact(bag: Path) -> None:
    rewrite_lines(bag / RECORDS, lambda lines: [line for line in lines if entry(line)["kind"] != "export"])
    reseal(bag)
    assert codes(verify_bag(bag)) == {"export_record"}


@pytest.mark.parametrize(
    "kind", ["window.expected", "window.closed", "take.opened", "take.closed", "segment", "gap"]
)
def test_a_record_that_is_taken_out_is_named(bag: Path, kind: str) -> None:
    dropped: list[int] = []

    def drop(lines: list[str]) -> list[str]:
        place = next(at for at, line in enumerate(lines) if entry(line)["kind"] == kind)
        dropped.append(json.loads(lines[place])["index"])
        return lines[:place] + lines[place + 1 :]

    rewrite_lines(bag / RECORDS, drop)
    reseal(bag)
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert any(finding.message.startswith(f"{RECORDS}: 日志第{dropped[0]}条") for finding in report.findings)


def test_records_out_of_order_are_named(bag: Path) -> None:
    rewrite_lines(bag / RECORDS, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])
    reseal(bag)
    assert codes(verify_bag(bag)) == {"record_order"}


def test_a_forged_record_is_named(bag: Path) -> None:
    def forge(lines: list[str]) -> list[str]:
        place = next(at for at, line in enumerate(lines) if entry(line)["kind"] == "gap")
        lines[place] = lines[place].replace("stream_lost", "disk_full__")
        return lines

    rewrite_lines(bag / RECORDS, forge)
    reseal(bag)
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert "record_proof" in codes(report)


def test_a_forged_checkpoint_is_named(bag: Path) -> None:
    lines = (bag / CHECKPOINT).read_text(encoding="utf-8").split("\n")
    root = bytearray(base64.b64decode(lines[2]))
    root[0] ^= 1
    lines[2] = base64.b64encode(root).decode()
    (bag / CHECKPOINT).write_text("\n".join(lines), encoding="utf-8")
    reseal(bag)
    assert "signature" in codes(verify_bag(bag))


def forge_everything(bag: Path) -> None:
    """The strongest attacker: a log of his own in which nothing was expected, signed by a key of his own."""
    key = Ed25519PrivateKey.generate()
    origin = parse_checkpoint((bag / CHECKPOINT).read_text(encoding="utf-8")).origin
    lines = (bag / RECORDS).read_text(encoding="utf-8").splitlines()
    (bag / "data/evidence/key.pub").write_text(public_pem(key.public_key()), encoding="utf-8")
    claim = entry(next(line for line in lines if entry(line)["kind"] == "export"))
    expected = next(entry(line) for line in lines if entry(line)["kind"] == "window.expected")
    for path in (bag / "data/segments").rglob("*.mp4"):
        path.unlink()
    kept = {path: digest for path, digest in claim["files"].items() if not path.startswith("data/segments/")}
    kept["data/evidence/key.pub"] = sha256(bag / "data/evidence/key.pub")
    texts = [
        json.dumps(expected | {"cameras": []}),
        json.dumps(claim | {"files": kept, "records": [0]}, ensure_ascii=False),
    ]
    leaves = [leaf_hash(text.encode()) for text in texts]
    fields = [{"index": at, "entry": text, "proof": [leaves[1 - at].hex()]} for at, text in enumerate(texts)]
    (bag / RECORDS).write_text("".join(json.dumps(field) + "\n" for field in fields), encoding="utf-8")
    note = sign_checkpoint(Checkpoint(origin, 2, node_hash(*leaves)), key)
    (bag / CHECKPOINT).write_text(note, encoding="utf-8")
    reseal(bag)


def test_only_the_key_known_from_elsewhere_finds_out_who_forged_everything(bag: Path, disputed: Any) -> None:
    forge_everything(bag)
    log = disputed.station.log
    assert codes(verify_bag(bag, verifier_key(log.origin, log.public_key))) == {"other_key"}
    alone = verify_bag(bag)
    assert [finding.code for finding in alone.findings] == ["key_from_bag"]


def test_the_key_known_from_elsewhere_is_taken_in_each_of_its_forms(
    disputed: Any, tmp_path: Path, pristine_bag: Path
) -> None:
    export_bag(disputed.station, disputed.request(), tmp_path / "bag")
    log = disputed.station.log
    pem = tmp_path / "site.pub"
    pem.write_text(public_pem(log.public_key), encoding="ascii")
    for key in (public_pem(log.public_key), verifier_key(log.origin, log.public_key), str(pem)):
        report = verify_bag(tmp_path / "bag", trusted_key=key)
        assert (report.outcome, report.findings) == ("intact", ())
        assert verify_bag(pristine_bag, trusted_key=key).outcome == "altered"
    with pytest.raises(UserError, match="not an Ed25519 public key"):
        verify_bag(tmp_path / "bag", trusted_key="mallory")


@pytest.mark.parametrize("place", ["data/extra.txt", "data/segments/back-right/seg-00001.mp4"])
@pytest.mark.parametrize("resealed", [False, True])
def test_a_file_too_many_is_named(bag: Path, place: str, resealed: bool) -> None:
    (bag / place).write_bytes(b"more")
    if resealed:
        reseal(bag)
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert {(finding.code, finding.path) for finding in report.findings if finding.severity == "altered"} == {
        ("unexpected", place)
    }


def test_a_file_too_many_beside_the_payload_is_named(bag: Path) -> None:
    (bag / "extra.txt").write_bytes(b"more")
    assert [(one.code, one.path) for one in verify_bag(bag).findings][:1] == [("unexpected", "extra.txt")]


def test_what_a_file_browser_leaves_behind_is_noted_and_harms_nothing(bag: Path) -> None:
    (bag / "data/.DS_Store").write_bytes(b"finder")
    report = verify_bag(bag)
    assert report.outcome == "intact"
    assert "dropping" in {finding.code for finding in report.findings}


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/passwd", "data/../../outside", "C:\\outside", "data//x", "./x"]
)
def test_a_manifest_that_points_elsewhere_is_refused(bag: Path, path: str) -> None:
    with (bag / "manifest-sha256.txt").open("a", encoding="utf-8") as manifest:
        manifest.write(f"{'0' * 64}  {path}\n")
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert "unsafe_path" in codes(report)
    assert "missing" not in codes(report)


def test_a_link_is_not_followed(bag: Path, tmp_path: Path) -> None:
    victim = segment(bag, "back-right", 4)
    elsewhere = tmp_path / "elsewhere.mp4"
    victim.rename(elsewhere)
    victim.symlink_to(elsewhere)
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert report.findings[0].code == "not_a_file"


@pytest.mark.parametrize(
    "name", [RECORDS, CHECKPOINT, "data/evidence/key.pub", "manifest-sha256.txt", "bagit.txt"]
)
def test_what_the_proof_needs_cannot_be_left_out(bag: Path, name: str) -> None:
    (bag / name).unlink()
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert ("missing", name) in {(finding.code, finding.path) for finding in report.findings}


def test_a_site_that_leaves_out_its_own_footage_is_found_out_by_the_chain(
    disputed: Any, tmp_path: Path
) -> None:
    with disputed.station.sessions.begin() as session:
        row = session.query(Segment).filter_by(camera_id="back-right", number=5).one()
        session.delete(row)
    export_bag(disputed.station, disputed.request(), tmp_path / "middle")
    assert "chain" in codes(verify_bag(tmp_path / "middle"))
    with disputed.station.sessions.begin() as session:
        for row in session.query(Segment).filter(Segment.camera_id == "back-right", Segment.number > 5):
            session.delete(row)
    export_bag(disputed.station, disputed.request(), tmp_path / "tail")
    assert {"cut_tail", "hole"} <= codes(verify_bag(tmp_path / "tail"))


def test_a_site_that_hides_a_gap_is_found_out_by_the_windows_closing(disputed: Any, tmp_path: Path) -> None:
    with disputed.station.sessions.begin() as session:
        session.delete(session.query(Gap).one())
    export_bag(disputed.station, disputed.request(), tmp_path / "bag")
    assert codes(verify_bag(tmp_path / "bag")) == {"counts", "hole"}


def test_a_hole_that_nobody_explained_cannot_be_judged(
    small_archive: Any, disputed: Any, tmp_path: Path
) -> None:
    begins = small_archive.local("2024-11-24 09:00:00")
    window = small_archive.window(begins, disputed.request(last_s=86410).ends_at, room="9-101", closed=False)
    small_archive.take(window, "front-left", begins, 5, without=(3,))
    request = disputed.request(86400, 86410, camera_ids=("front-left",))
    export_bag(small_archive.station, request, tmp_path / "bag")
    report = verify_bag(tmp_path / "bag")
    assert report.outcome == "cannot_judge"
    assert codes(report) == {"hole"}
    assert "front-left 2024-11-24 01:00:04.000Z 至 2024-11-24 01:00:06.000Z" in report.findings[0].message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_any_file_can_be_changed_unnoticed(pristine_bag: Path, tmp_path: Path, data: Any) -> None:
    bag = tmp_path / "flipped"
    if not bag.exists():
        shutil.copytree(pristine_bag, bag)
    path = data.draw(st.sampled_from(sorted(path for path in bag.rglob("*") if path.is_file())))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
    try:
        assert verify_bag(bag).outcome == "altered"
    finally:
        path.write_bytes(content)


def run_verifier(bag: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """verify.py alone: no installed package, no site, no environment."""
    command = [sys.executable, "-I", "-S", str(bag / "verify.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, env={})


def test_the_verifier_in_the_bag_runs_alone_and_says_the_same(bag: Path) -> None:
    whole = run_verifier(bag)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.splitlines()[-1].startswith("✓ 完好")
    victim = segment(bag, "back-right", 4)
    flip(victim, 1000)
    broken = run_verifier(bag)
    assert broken.returncode == 1
    assert f"✗ {victim.relative_to(bag).as_posix()}: 内容被改动" in broken.stdout
    told = run_verifier(bag, "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout) == json.loads(json.dumps(report_json(verify_bag(bag))))
    assert not list(bag.rglob("__pycache__"))


def test_the_verifier_in_the_bag_refuses_what_is_no_export(bag: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments in (
        [str(tmp_path / "empty")],
        [str(tmp_path / "nowhere")],
        ["--key", "mallory"],
        ["--what"],
    ):
        run = run_verifier(bag, *arguments)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr


def test_the_verifier_in_the_bag_is_one_file_for_python_3_9() -> None:
    tree = ast.parse(standalone_verifier(), feature_version=(3, 9))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {module.split(".")[0] for module in imported} <= sys.stdlib_module_names
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(defined) == len(set(defined))


def test_the_proof_by_hand_in_the_documentation_holds_for_every_record(
    bag: Path, need: Callable[[bool, str], None]
) -> None:
    need(all(shutil.which(tool) for tool in ("bash", "sed", "od", "sha256sum")), "apt install coreutils sed")
    formats = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
    script = formats.read_text(encoding="utf-8").partition("```bash\n")[2].partition("```")[0]

    def prove(line: int) -> str:
        command = ["bash", "-c", f"N={line}\n{script}"]
        return subprocess.run(command, cwd=bag, capture_output=True, text=True, check=True).stdout.strip()

    count = len((bag / RECORDS).read_text(encoding="utf-8").splitlines())
    assert [prove(line) for line in range(1, count + 1)] == ["in the log"] * count
    rewrite_lines(bag / RECORDS, lambda lines: [line.replace("theory", "practi") for line in lines])
    assert prove(1) == "NOT in the log"
