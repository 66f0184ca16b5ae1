"""Alarms by e-mail, taken by a real mail server: plain, STARTTLS and TLS, with and without a right login."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kaozheng_service.alarms.channel import DeliveryError
from kaozheng_service.alarms.courier import channels_of
from kaozheng_service.alarms.kinds import Subject
from kaozheng_service.alarms.mail import MailChannel
from kaozheng_service.alarms.messages import unstored_body
from kaozheng_service.clock import now
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

CAMERA = Subject("no_footage", "9-101", "front-left")
RIGHT = "fear-of-heights"


def mail(
    make_station: Callable[..., Station], port: int, language: str = "zh_CN", **other: Any
) -> MailChannel:
    section = {
        "host": "127.0.0.1",
        "port": port,
        "security": "plain",
        "from": "kaozheng@example.org",
        "to": ["office@example.org", "head@example.org"],
    }
    (only,) = channels_of(make_station({"mail": section | other, "language": language}).site)
    assert isinstance(only, MailChannel)
    return only


def body(channel: MailChannel, subject: Subject = CAMERA, detail: str = "拒绝连接") -> str:
    return unstored_body(channel._site, subject, detail, now())


def test_one_alarm_is_one_mail_in_the_sites_language(
    make_station: Callable[..., Station], postbox: Any
) -> None:
    channel = mail(make_station, postbox.port)
    assert channel.send([body(channel)]) == ""
    (letter,) = postbox.letters
    assert letter["Subject"] == "[告警] 9号楼101机房 front-left 应录未录（示范学院考点）"
    assert letter["To"] == "office@example.org, head@example.org"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "拒绝连接" in letter.get_content()
    assert "下一步：请检查摄像机的电源" in letter.get_content()


def test_the_same_in_english(make_station: Callable[..., Station], postbox: Any) -> None:
    channel = mail(make_station, postbox.port, "en")
    channel.send([body(channel, detail="connection refused")])
    (letter,) = postbox.letters
    assert letter["Subject"] == "[alarm] 9号楼101机房 front-left no footage (示范学院考点)"
    assert "next: check the camera's power" in letter.get_content()


def test_many_are_one_mail_that_names_each(make_station: Callable[..., Station], postbox: Any) -> None:
    channel = mail(make_station, postbox.port)
    cameras = [f"camera-{number}" for number in range(40)]
    channel.send([body(channel, Subject("no_footage", "9-101", camera)) for camera in cameras])
    (letter,) = postbox.letters
    assert letter["Subject"] == "[示范学院考点] 40 条告警消息"
    assert all(camera in letter.get_content() for camera in cameras)


def test_a_line_end_in_a_name_is_no_header_of_its_own(
    make_station: Callable[..., Station], postbox: Any
) -> None:
    channel = mail(make_station, postbox.port)
    channel.send([body(channel, Subject("no_footage", "9-101", "front\r\nBcc: x@example.org"))])
    (letter,) = postbox.letters
    assert letter["Bcc"] is None
    assert "Bcc: x@example.org" in letter["Subject"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_login_goes_through_an_encrypted_connection_to_a_trusted_server_only(
    make_station: Callable[..., Station],
    serving_mail: Callable[..., Any],
    postbox: Any,
    loopback: ModuleType,
    tmp_path: Path,
    security: str,
) -> None:
    shown, both = loopback.make_certificate(tmp_path, "mail", address="127.0.0.1")
    (tmp_path / "password").write_text(f"{RIGHT}\n", encoding="utf-8")
    login = {"security": security, "username": "exam", "password_file": "password"}
    with serving_mail(type(postbox)(), security, both) as box:
        channel = mail(make_station, box.port, **login)
        with pytest.raises(DeliveryError, match="certificate is not trusted"):
            channel.send([body(channel)])
        assert box.logins == []
        channel = mail(make_station, box.port, certificate=str(shown), **login)
        channel.send([body(channel)])
        assert (len(box.letters), box.logins) == (1, ["exam"])
        (tmp_path / "password").write_text("wrong-heights", encoding="utf-8")
        with pytest.raises(DeliveryError, match="refused the login") as refused:
            channel.send([body(channel)])
        assert "heights" not in str(refused.value)


def test_a_server_without_starttls_gets_no_mail(make_station: Callable[..., Station], postbox: Any) -> None:
    channel = mail(make_station, postbox.port, security="starttls")
    with pytest.raises(DeliveryError, match="no STARTTLS"):
        channel.send([body(channel)])
    assert postbox.letters == []


def test_who_is_refused_is_named_and_the_others_have_it(
    make_station: Callable[..., Station], postbox: Any
) -> None:
    postbox.refused = {"head@example.org"}
    channel = mail(make_station, postbox.port)
    assert channel.send([body(channel)]) == "it refused head@example.org"
    assert len(postbox.letters) == 1
    postbox.refused = {"head@example.org", "office@example.org"}
    with pytest.raises(DeliveryError, match="it refused"):
        channel.send([body(channel)])


def test_nobody_there_is_no_answer(make_station: Callable[..., Station], receiver: Any) -> None:
    receiver.close()
    channel = mail(make_station, receiver.port)
    with pytest.raises(DeliveryError, match="refused") as refused:
        channel.send([body(channel)])
    assert not refused.value.reached


@pytest.mark.parametrize(
    ("other", "mend"),
    [
        ({"username": "exam"}, "exactly one of password_env"),
        ({"password_env": "A"}, "exactly one of password_env"),
        ({"host": "mail.example.org", "username": "exam", "password_env": "A"}, "not sent in the clear"),
        ({"to": []}, "alarms.mail.to"),
        ({"from": "nobody"}, "alarms.mail.from"),
    ],
)
def test_what_a_mail_section_may_not_be_is_refused(
    make_station: Callable[..., Station], other: dict[str, Any], mend: str
) -> None:
    with pytest.raises(UserError, match=mend):
        mail(make_station, 25, **other)
