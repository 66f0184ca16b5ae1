"""Logs: for people or as JSON lines, times in UTC, and no secret however it gets there."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from kaozheng_service.config.secrets import read_secret
from kaozheng_service.logs import LogFormat, configure_logs
from kaozheng_service.redaction import redacted

PLANTED = "Tr0ub4dor&3"


@pytest.fixture
def log_as(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[LogFormat], Callable[[], str]]]:
    """``said = log_as(format)`` sets logging up; ``said()`` is what was logged since. Undone after the test."""
    handlers, level = logging.root.handlers, logging.root.level

    def configure(form: LogFormat) -> Callable[[], str]:
        configure_logs(form)
        return lambda: capsys.readouterr().err

    yield configure
    structlog.reset_defaults()
    logging.root.handlers, logging.root.level = handlers, level


def test_json_is_one_object_a_line_with_its_time_in_utc(log_as: Any) -> None:
    said = log_as(LogFormat.JSON)
    structlog.get_logger().warning("gap", camera="front-left", seconds=4.5, detail="视频流中断\n第二行")
    logging.getLogger("elsewhere").error("a library says %s", "this")
    ours, others = (json.loads(line) for line in said().splitlines())
    assert (ours["event"], ours["level"], ours["seconds"]) == ("gap", "warning", 4.5)
    assert ours["detail"] == "视频流中断\n第二行"
    assert ours["time"].endswith("Z")
    assert (others["event"], others["level"]) == ("a library says this", "error")


@pytest.mark.parametrize("form", list(LogFormat))
def test_planted_secrets_are_struck_wherever_they_stand(
    log_as: Any, form: LogFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", PLANTED)
    read_secret("mail", Path(), env="PLANTED", file=None)
    said = log_as(form)
    log = structlog.get_logger()
    log.error(f"the server repeats {PLANTED}", why=f"wrong: {PLANTED}", nested={"deep": [{"er": PLANTED}]})
    log.error("by name", password="never-read-1", headers={"Authorization": "Basic bmV2ZXI6cmVhZA=="})  # noqa: S106
    log.error("rtsp://admin:never-read-2@10.0.0.7/ch1 failed", url="http://h/hook?key=never-read-3&x=1")
    log.error("an object", source=Path(f"/tmp/{PLANTED}"))  # noqa: S108
    logging.getLogger("uvicorn.error").error("GET /?token=never-read-4 by %s", PLANTED)
    try:
        local = PLANTED
        raise ValueError(f"cannot log in with {local}")
    except ValueError:
        log.exception("failed")
        logging.getLogger("elsewhere").exception("failed too")
    text = said()
    assert "cannot log in with" in text
    assert PLANTED not in text
    assert "Tr0ub4dor" not in text
    assert "never-read" not in text
    assert "bmV2ZXI6cmVhZA" not in text
    assert text.count("****") >= 9


def test_words_that_only_look_alike_stay() -> None:
    for text in (
        "the public key of the log",
        "keyframes: 12",
        "no password is set",
        "window 20241123-0900-9-201-theory",
        "http://127.0.0.1:8080/footage?room=9-101&at=2024-11-23 09:00:00",
    ):
        assert redacted(text) == text
