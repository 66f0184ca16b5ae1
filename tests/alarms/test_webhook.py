"""Alarms by HTTP: a real server that takes them, refuses them, hangs, redirects or shows a foreign certificate."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kaozheng_service.alarms.channel import DeliveryError
from kaozheng_service.alarms.courier import channels_of
from kaozheng_service.alarms.kinds import Subject
from kaozheng_service.alarms.messages import unstored_body
from kaozheng_service.alarms.webhook import WebhookChannel
from kaozheng_service.clock import now
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station


def channel(
    make_station: Callable[..., Station], url: str | None, **other: Any
) -> tuple[WebhookChannel, str]:
    """The channel of a site with one webhook, and a message for it."""
    hook = {"id": "duty", **({"url": url} if url else {}), **other}
    site = make_station({"webhooks": [hook]}).site
    (only,) = channels_of(site)
    assert isinstance(only, WebhookChannel)
    return only, unstored_body(site, Subject("no_footage", "9-101", "front-left"), "拒绝连接", now())


def test_a_message_arrives_as_json_with_all_that_is_known(
    make_station: Callable[..., Station], receiver: Any
) -> None:
    duty, body = channel(make_station, receiver.url)
    duty.send([body])
    (got,) = receiver.received
    said = got.json
    assert (said["schema"], said["event"]) == ("kaozheng/alarm/1", "raised")
    assert said["alarm"]["kind"] == "no_footage"
    assert (said["alarm"]["room_name"], said["alarm"]["camera"]) == ("9号楼101机房", "front-left")
    assert said["summary"] == "[告警] 9号楼101机房 front-left 应录未录（示范学院考点）"
    assert said["alarm"]["next_step"]
    assert got.headers["Idempotency-Key"] == said["id"]
    assert "X-Kaozheng-Signature" not in got.headers


def test_a_secret_signs_the_exact_bytes(
    make_station: Callable[..., Station], receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "fear-of-heights")
    duty, body = channel(make_station, receiver.url, secret_env="HOOK_SECRET")  # noqa: S106
    duty.send([body])
    (got,) = receiver.received
    expected = hmac.new(b"fear-of-heights", got.body, hashlib.sha256).hexdigest()
    assert got.headers["X-Kaozheng-Signature"] == f"sha256={expected}"
    assert b"fear-of-heights" not in got.body


@pytest.mark.parametrize("status", [404, 500, 503])
def test_an_answer_that_is_no_yes_is_told(
    make_station: Callable[..., Station], receiver: Any, status: int
) -> None:
    duty, body = channel(make_station, receiver.url)
    receiver.status = status
    with pytest.raises(DeliveryError, match=f"it answered {status}") as refused:
        duty.send([body])
    assert refused.value.reached


def test_a_redirect_is_not_followed(make_station: Callable[..., Station], receiver: Any) -> None:
    duty, body = channel(make_station, receiver.url)
    receiver.status = 307
    with pytest.raises(DeliveryError, match="not followed"):
        duty.send([body])
    assert [one.path for one in receiver.received] == ["/hook"]


def test_nobody_there_is_told_without_the_addresss_path(
    make_station: Callable[..., Station], receiver: Any
) -> None:
    receiver.close()
    duty, body = channel(make_station, f"http://127.0.0.1:{receiver.port}/hook?key=hunter22")
    with pytest.raises(DeliveryError, match="refused") as refused:
        duty.send([body])
    assert not refused.value.reached
    assert "hunter22" not in str(refused.value) + duty.target()


def test_a_server_that_drips_holds_nobody_up(
    make_station: Callable[..., Station], loopback: ModuleType
) -> None:
    def drip(connection: Any) -> None:
        for _ in range(200):
            connection.sendall(b"H")
            time.sleep(0.05)

    with loopback.Server(drip) as server:
        site = make_station({"webhooks": [{"id": "duty", "url": f"http://127.0.0.1:{server.port}/"}]}).site
        duty = WebhookChannel(site, site.alarms.webhooks[0], step_s=5, whole_s=0.3)
        with pytest.raises(DeliveryError):
            duty.send([unstored_body(site, Subject("disk_low"), "", now())])


def test_a_server_that_says_nothing_is_left_after_its_time(
    make_station: Callable[..., Station], loopback: ModuleType
) -> None:
    with loopback.Server(loopback.silent) as server:
        site = make_station({"webhooks": [{"id": "duty", "url": f"http://127.0.0.1:{server.port}/"}]}).site
        duty = WebhookChannel(site, site.alarms.webhooks[0], step_s=0.3)
        with pytest.raises(DeliveryError, match="no answer in time"):
            duty.send([unstored_body(site, Subject("disk_low"), "", now())])


def test_an_untrusted_certificate_is_refused_and_a_pinned_one_is_taken(
    make_station: Callable[..., Station],
    receiving: Callable[..., Any],
    loopback: ModuleType,
    tmp_path: Path,
) -> None:
    shown, both = loopback.make_certificate(tmp_path, "hooks", address="127.0.0.1")
    secure = receiving(certificate=both)
    url = secure.url.replace("http:", "https:")
    duty, body = channel(make_station, url)
    with pytest.raises(DeliveryError, match="certificate is not trusted"):
        duty.send([body])
    assert secure.received == []
    duty, body = channel(make_station, url, certificate=str(shown))
    duty.send([body])
    assert len(secure.received) == 1


def test_an_address_that_is_a_secret_stands_outside_the_site_file(
    make_station: Callable[..., Station], receiver: Any, tmp_path: Path
) -> None:
    kept = tmp_path / "hook-address"
    duty, body = channel(make_station, None, url_file="hook-address")
    with pytest.raises(UserError, match="cannot be read"):
        duty.send([body])
    kept.write_text(f"{receiver.url}?key=hunter22\n", encoding="utf-8")
    duty.send([body])
    assert [one.path for one in receiver.received] == ["/hook?key=hunter22"]
    assert duty.target() == f"http://127.0.0.1:{receiver.port}"
    kept.write_text("ftp://hunter22/", encoding="utf-8")
    with pytest.raises(UserError, match="only http") as refused:
        duty.send([body])
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize(
    ("hook", "mend"),
    [
        ({"url": "ftp://host/hunter22"}, "only http:// and https://"),
        ({"url": "https://admin:hunter22@host/"}, "holds no login"),
        ({"url": "https://host/a hunter22"}, "holds no blanks"),
        ({}, "exactly one of url"),
        ({"url": "https://host/", "secret_env": "A", "secret_file": "b"}, "one of secret_env"),
        ({"url": "https://host/", "secret": "hunter22"}, "is not a field"),
    ],
)
def test_what_a_webhook_may_not_be_is_refused_without_repeating_it(
    make_station: Callable[..., Station], hook: dict[str, str], mend: str
) -> None:
    with pytest.raises(UserError, match=mend) as refused:
        make_station({"webhooks": [{"id": "duty", **hook}]})
    assert "hunter22" not in str(refused.value)
