"""The signed log: what is in it stays in it, through crashes and beside other processes."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kaozheng_service.evidence.keys import load_or_make_key
from kaozheng_service.evidence.log import EvidenceLog, LogDamagedError
from kaozheng_service.evidence.merkle import leaf_hash, verify_consistency, verify_inclusion
from kaozheng_service.evidence.note import open_checkpoint
from kaozheng_service.evidence.records import Marked

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
MOMENT = datetime(2024, 11, 23, 1, 0, tzinfo=UTC)


def log_in(folder: Path) -> EvidenceLog:
    return EvidenceLog(folder, origin="kaozheng/demo", key=KEY)


def mark(note: str) -> Marked:
    return Marked(at=MOMENT, room="9-201", moment=MOMENT, mark="seal_opened", note=note)


def filled(folder: Path, count: int) -> EvidenceLog:
    log = log_in(folder)
    for number in range(count):
        log.append(mark(f"第{number}份"))
    return log


def heads(log: EvidenceLog) -> tuple[int, bytes]:
    opened = open_checkpoint(log.checkpoint(), KEY.public_key())
    return opened.size, opened.root


def test_an_entry_is_the_canonical_json_of_its_record(tmp_path):
    log = filled(tmp_path, 2)
    assert log.entry(1).decode() == (
        '{"at":"2024-11-23T01:00:00.000Z","by":"","kind":"mark","mark":"seal_opened",'
        '"moment":"2024-11-23T01:00:00.000Z","note":"第1份","room":"9-201"}'
    )


def test_the_log_is_the_same_when_opened_again(tmp_path):
    before = heads(filled(tmp_path, 7))
    log = log_in(tmp_path)
    assert heads(log) == before
    assert log.append(mark("one more")) == 7


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=st.integers(1, 20), data=st.data())
def test_every_entry_is_proven_under_every_later_head(tmp_path_factory, size, data):
    log = filled(tmp_path_factory.mktemp("log"), size)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    _, root = heads(log)
    assert verify_inclusion(leaf_hash(log.entry(index)), index, size, log.inclusion_proof(index, size), root)
    earlier = heads(filled(tmp_path_factory.mktemp("log"), old))[1]
    assert verify_consistency(old, size, earlier, root, log.consistency_proof(old, size))


def test_a_line_torn_by_a_crash_is_put_aside_and_the_log_goes_on(tmp_path):
    before = heads(filled(tmp_path, 3))
    with (tmp_path / "entries.jsonl").open("ab") as file:
        file.write(b'{"at":"2024-11-')
    log = log_in(tmp_path)
    assert heads(log) == before
    assert (tmp_path / "torn-0001").read_bytes() == b'{"at":"2024-11-'
    assert log.append(mark("after")) == 3


def test_an_entry_that_was_written_but_not_yet_hashed_counts(tmp_path):
    whole = heads(filled(tmp_path / "whole", 4))
    filled(tmp_path / "crashed", 3)
    with (tmp_path / "crashed" / "entries.jsonl").open("ab") as file:
        file.write(log_in(tmp_path / "whole").entry(3) + b"\n")
    assert heads(log_in(tmp_path / "crashed")) == whole


@pytest.mark.parametrize("lost", ["offsets", "hashes-00", "hashes-01", "checkpoint"])
def test_what_is_derived_is_made_again(tmp_path, lost):
    before = heads(filled(tmp_path, 9))
    (tmp_path / lost).unlink()
    assert heads(log_in(tmp_path)) == before


def test_a_log_that_lost_its_tail_is_refused(tmp_path):
    filled(tmp_path, 5)
    lines = (tmp_path / "entries.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "entries.jsonl").write_bytes(b"".join(lines[:3]))
    with pytest.raises(LogDamagedError, match="3 entries, but 5 were signed"):
        log_in(tmp_path)


def test_a_log_with_a_changed_entry_is_refused(tmp_path):
    filled(tmp_path, 5)
    path = tmp_path / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace("第2份".encode(), "第9份".encode()))
    with pytest.raises(LogDamagedError, match="not those that were signed"):
        log_in(tmp_path)


def _append_many(folder: Path, name: str) -> None:
    log = log_in(folder)
    for number in range(20):
        log.append(mark(f"{name} {number}"))


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    log = log_in(tmp_path)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(tmp_path, name)) for name in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    notes = [json.loads(entry)["note"] for entry in log.entries()]
    assert len(notes) == log.size == 60
    for name in ("a", "b", "c"):
        assert [note for note in notes if note.startswith(name)] == [
            f"{name} {number}" for number in range(20)
        ]


def test_the_key_is_made_once_and_readable_by_its_owner_alone(tmp_path):
    first = load_or_make_key(tmp_path / "keys")
    again = load_or_make_key(tmp_path / "keys")
    assert first.private_bytes_raw() == again.private_bytes_raw()
    (path,) = (tmp_path / "keys").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_torn_off_ten_thousand_times_is_kept_still(tmp_path):
    filled(tmp_path, 1)
    for number in range(1, 10_000):
        (tmp_path / f"torn-{number:04d}").touch()
    with (tmp_path / "entries.jsonl").open("ab") as file:
        file.write(b'{"at":')
    log_in(tmp_path)
    assert (tmp_path / "torn-10000").read_bytes() == b'{"at":'
