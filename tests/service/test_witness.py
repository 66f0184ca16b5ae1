"""Two sites, each a real service on the loopback: one cosigns the other's log, and a rewritten log is found out."""

from __future__ import annotations

import base64
import shutil
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.standalone.cosignatures import check_cosignature
from kaozheng_service.disputes.verify import verify_bag
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.anchors.keeper import AnchorKeeper
from kaozheng_service.evidence.anchors.making import anchors_of, make_anchor
from kaozheng_service.evidence.anchors.posting import AnchorError
from kaozheng_service.evidence.anchors.witness import Witness
from kaozheng_service.evidence.key_rotation import open_log, rotate_key
from kaozheng_service.evidence.note import verifier_key
from kaozheng_service.evidence.records import Marked
from kaozheng_service.station import Station, open_station
from kaozheng_service.web.app import create_app


def mark(note: str) -> Marked:
    return Marked(at=now(), room="9-101", moment=now(), mark="incident", note=note)


@contextmanager
def running(station: Station) -> Iterator[str]:
    """The pages of a site, by uvicorn; their address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(station), log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def reopened(station: Station, **sections: Any) -> Station:
    """The same site with these sections in its file."""
    path = station.site.folder / "site.yaml"
    body = yaml.safe_load(path.read_text(encoding="utf-8")) | sections
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    return open_station(load_site(path))


@pytest.fixture
def neighbour(disputed: Any, tmp_path_factory: pytest.TempPathFactory) -> Station:
    """Another site, which witnesses the log of the disputed one."""
    folder = tmp_path_factory.mktemp("neighbour")
    body = yaml.safe_load((disputed.station.site.folder / "site.yaml").read_text(encoding="utf-8"))
    log = disputed.station.log
    body |= {"id": "neighbour", "name": "邻校考点"}
    body["witness"] = {"logs": [{"name": log.origin, "keys": [verifier_key(log.origin, log.public_key)]}]}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    return open_station(load_site(path))


def key_of(neighbour: Station) -> str:
    assert neighbour.site.witness is not None
    return Witness(neighbour.state, neighbour.site.id, neighbour.site.witness).key


def witnessed(disputed: Any, neighbour: Station, address: str) -> Station:
    peer = {"id": "neighbour", "url": f"{address}/witness", "key": key_of(neighbour)}
    return reopened(disputed.station, anchors={"witnesses": [peer]})


def asked(address: str, body: bytes) -> tuple[int, str, str]:
    request = urllib.request.Request(f"{address}/witness/add-checkpoint", data=body, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback, our own
            return answer.status, answer.headers.get_content_type(), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get_content_type(), error.read().decode()


def request_of(station: Station, old: int) -> bytes:
    size = station.log.size
    proof = station.log.consistency_proof(old, size) if old else []
    lines = [f"old {old}", *(base64.b64encode(step).decode() for step in proof)]
    return ("\n".join(lines) + "\n\n" + station.log.checkpoint()).encode()


def test_the_head_is_cosigned_after_a_window_closed_and_again_as_it_grows(
    disputed: Any, neighbour: Station
) -> None:
    with running(neighbour) as address:
        station = witnessed(disputed, neighbour, address)
        keeper = AnchorKeeper(station)
        size = station.log.size
        keeper.look(now())
        records = list(station.log.find("anchor.witnessed"))
        assert [(index, body["size"], body["witness"]) for index, body in records] == [
            (size, size, "neighbour")
        ]
        keeper.look(now())  # nothing closed since
        assert station.log.size == size + 1
        kept = (station.state / "anchors" / records[0][1]["folder"] / "checkpoint").read_text(
            encoding="utf-8"
        )
        found = check_cosignature(kept, key_of(neighbour))
        assert found is not None
        assert found.name == "kaozheng-witness/neighbour"
        assert check_cosignature(kept.replace(f"\n{size}\n", f"\n{size + 1}\n"), key_of(neighbour)) is None
        # Another process knows nothing of before: it asks the witness where it stands.
        (anchor,) = anchors_of(station.site)
        assert make_anchor(station, anchor).size == size + 1


def test_a_log_rewritten_with_the_true_key_is_refused_and_told(
    disputed: Any, neighbour: Station, tmp_path: Path
) -> None:
    with running(neighbour) as address:
        station = witnessed(disputed, neighbour, address)
        (anchor,) = anchors_of(station.site)
        make_anchor(station, anchor)
        lines = (station.state / "log" / "entries.jsonl").read_bytes().splitlines(keepends=True)
        fork = b"".join(lines).replace(b"stream_lost", b"disk_full__")
        shutil.rmtree(station.state / "log")
        (station.state / "log").mkdir()
        (station.state / "log" / "entries.jsonl").write_bytes(fork)
        forged = open_station(station.site)
        assert forged.log.public_key.public_bytes_raw() == station.log.public_key.public_bytes_raw()
        keeper = AnchorKeeper(forged)
        keeper.look(now())
        assert "the log was rewritten" in keeper.troubles()["anchor_refused"]
        # Cut shorter than what was seen.
        shutil.rmtree(station.state / "log")
        (station.state / "log").mkdir()
        (station.state / "log" / "entries.jsonl").write_bytes(b"".join(lines[:-4]))
        cut = open_station(station.site)
        (anchor,) = anchors_of(cut.site)
        with pytest.raises(AnchorError, match="its end was cut off") as caught:
            make_anchor(cut, anchor)
        assert caught.value.refused


def test_the_witness_answers_as_the_protocol_says(disputed: Any, neighbour: Station) -> None:
    station = disputed.station
    with running(neighbour) as address:
        size = station.log.size
        status, _, line = asked(address, request_of(station, 0))
        assert (status, line[:2]) == (200, "— ")
        assert asked(address, request_of(station, 0)) == (409, "text/x.tlog.size", f"{size}\n")
        assert asked(address, request_of(station, size))[0] == 200  # the same head again
        station.log.append(mark("more"))
        assert asked(address, request_of(station, size - 1)) == (409, "text/x.tlog.size", f"{size}\n")
        broken = request_of(station, size).replace(b"\n\n", b"\n" + base64.b64encode(bytes(32)) + b"\n\n", 1)
        assert asked(address, broken)[0] == 422
        assert asked(address, request_of(station, size).replace(b"old ", b"old 99"))[0] == 400
        assert asked(address, b"hello")[0] == 400
        assert asked(address, b"x" * 40_000)[0] == 413
        stranger = open_station(neighbour.site)  # a log that it does not serve: its own
        stranger.log.append(mark("own"))
        assert asked(address, request_of(stranger, 0))[0] == 404
        forged = request_of(station, size).decode().rsplit(" ", 1)
        assert (
            asked(address, (forged[0] + " " + base64.b64encode(bytes(68)).decode() + "\n").encode())[0] == 403
        )
        assert asked(address, request_of(station, size))[0] == 200
    with running(neighbour) as address:  # it remembers when it starts anew
        assert asked(address, request_of(station, 0)) == (409, "text/x.tlog.size", f"{size + 1}\n")
    memory = next((neighbour.state / "witness").glob("*.json"))
    memory.write_text("{", encoding="utf-8")
    with running(neighbour) as address:  # a memory that cannot be read is not taken for none
        assert asked(address, request_of(station, 0))[0] >= 500


def test_a_site_that_is_no_witness_has_no_such_address(disputed: Any) -> None:
    with running(disputed.station) as address:
        assert asked(address, request_of(disputed.station, 0))[0] in (404, 405)


def test_after_a_change_of_key_the_witness_takes_the_new_one_when_it_is_listed(
    disputed: Any, neighbour: Station
) -> None:
    station = disputed.station
    with running(neighbour) as address:
        assert asked(address, request_of(station, 0))[0] == 200
    size = station.log.size
    rotate_key(station.state, station.site.id, "yearly")
    station = open_station(station.site)
    log = open_log(station.state, station.site.id)
    with running(neighbour) as address:
        assert asked(address, request_of(station, size))[0] == 403
    assert neighbour.site.witness is not None
    keys = [*neighbour.site.witness.logs[0].keys, verifier_key(log.origin, log.public_key)]
    with running(reopened(neighbour, witness={"logs": [{"name": log.origin, "keys": keys}]})) as address:
        assert asked(address, request_of(station, size))[0] == 200


def test_an_export_carries_the_cosigned_head_and_the_verifiers_check_it(
    disputed: Any, neighbour: Station, tmp_path: Path
) -> None:
    with running(neighbour) as address:
        station = witnessed(disputed, neighbour, address)
        (anchor,) = anchors_of(station.site)
        make_anchor(station, anchor)
    station.log.append(mark("after"))
    bag = tmp_path / "bag"
    export_bag(station, disputed.request(), bag)
    report = verify_bag(bag, witnesses=[key_of(neighbour)])
    assert report.outcome == "intact", report.findings
    assert "witnessed" in {one.code for one in report.findings}
    assert "witness_unchecked" in {one.code for one in verify_bag(bag).findings}
    other = key_of(disputed_witness(disputed))
    assert verify_bag(bag, witnesses=[other]).outcome == "cannot_judge"
    kept = next((bag / "data/evidence/anchors").rglob("checkpoint"))
    kept.write_text(
        kept.read_text(encoding="utf-8").replace("— kaozheng-witness", "— kaozheng-witnesz"), encoding="utf-8"
    )
    assert verify_bag(bag, witnesses=[key_of(neighbour)]).outcome == "altered"


def disputed_witness(disputed: Any) -> Station:
    log = disputed.station.log
    logs = [{"name": log.origin, "keys": [verifier_key(log.origin, log.public_key)]}]
    return reopened(disputed.station, witness={"logs": logs})


def test_a_fork_that_only_the_witness_saw_convicts_the_bag(
    disputed: Any, neighbour: Station, tmp_path: Path
) -> None:
    """The true head is cosigned; the log is then rewritten with the true key, and an export made of it."""
    with running(neighbour) as address:
        station = witnessed(disputed, neighbour, address)
        (anchor,) = anchors_of(station.site)
        make_anchor(station, anchor)
    entries = station.state / "log" / "entries.jsonl"
    fork = (
        entries.read_bytes()
        .replace("示范".encode(), "示例".encode())
        .replace(b'"the stream ended"', b'"the stream broke"')
    )
    assert fork != entries.read_bytes()
    shutil.rmtree(station.state / "log")
    (station.state / "log").mkdir()
    entries.write_bytes(fork)
    export_bag(open_station(station.site), disputed.request(), tmp_path / "bag")
    report = verify_bag(tmp_path / "bag", witnesses=[key_of(neighbour)])
    assert "anchor_fork" in {one.code for one in report.findings}, report.findings
    assert report.outcome == "altered"


def test_a_key_that_is_none_is_refused_with_its_line(disputed: Any) -> None:
    peer = {"id": "n", "url": "http://127.0.0.1:1/witness", "key": "kaozheng-witness/x+00000000+AAAA"}
    with pytest.raises(UserError, match="kaozheng key show"):
        reopened(disputed.station, anchors={"witnesses": [peer]})
