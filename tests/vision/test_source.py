"""Addresses and logins, kept apart; what may be shown and what may not."""

from __future__ import annotations

from pathlib import Path

import pytest
from kaozheng_vision.errors import VisionError
from kaozheng_vision.source import Source, printable

PASSWORD = "p@ss/w:rd"  # noqa: S105


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rtsp://admin:secret@camera/live", "name a credential instead"),
        ("http://camera/live", "rtsp, rtsps, onvif, file"),
        ("rtsp:///live", "names no host"),
        ("onvif://camera:99999", "port between"),
        ("onvif://camera:x", "port between"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_secret(url: str, said: str) -> None:
    with pytest.raises(VisionError, match=said) as caught:
        Source(url)
    assert "secret" not in str(caught.value)


def test_a_certificate_is_of_use_only_where_something_is_encrypted() -> None:
    for url in ("rtsps://camera/live", "onvif://camera"):
        assert Source(url, certificate=Path("camera.pem")).certificate == Path("camera.pem")
    with pytest.raises(VisionError, match="rtsps"):
        Source("rtsp://camera/live", certificate=Path("camera.pem"))


def test_ports_are_the_registered_ones_unless_written() -> None:
    urls = ("rtsp://c/1", "rtsps://c/1", "onvif://c", "onvif://c:8000", "rtsp://[::1]:8554/1")
    assert [Source(url).port for url in urls] == [554, 322, 80, 8000, 8554]
    assert Source("rtsp://[::1]:8554/1").host == "::1"


def test_a_password_is_in_no_repr_and_masked_however_it_is_written() -> None:
    source = Source("rtsp://camera/live", "admin", PASSWORD)
    assert source.secret_url() == "rtsp://admin:p%40ss%2Fw%3Ard@camera/live"
    shown = source.mask(
        f"{source.secret_url()} {PASSWORD} p%40ss%2Fw%3Ard rtsp://x:other@camera/2 {source!r}"
    )
    assert "p@ss" not in shown
    assert "p%40ss" not in shown
    assert "other" not in shown
    assert shown.startswith("rtsp://camera/live ****")


def test_a_device_has_no_stream_to_be_opened_before_it_is_asked() -> None:
    source = Source("onvif://camera", "admin", PASSWORD)
    with pytest.raises(VisionError, match="ask it"):
        source.secret_url()
    assert PASSWORD not in source.mask(f"login {PASSWORD}")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("rtsp://a:b@h:554/live", "rtsp://h:554/live"),
        ("rtsp://h/user=admin&password=x1y&channel=1", "rtsp://h/user=****&password=****&channel=1"),
        ("rtsp://h/user=admin_password=x1y_channel=1", "rtsp://h/user=****_password=****_channel=1"),
        ("rtsp://h/live?channel=1&subtype=0", "rtsp://h/live?channel=1&subtype=0"),
        ("rtsp://h/live?monkey=5", "rtsp://h/live?monkey=5"),
    ],
)
def test_what_a_device_writes_is_printed_without_its_login(written: str, shown: str) -> None:
    assert printable(written) == shown
