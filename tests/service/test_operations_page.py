"""docs/operations.md: whoever follows it finds every alarm explained, and its site file is one that is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from kaozheng_service.alarms.kinds import AlarmKind
from kaozheng_service.alarms.words import alarm_name, next_step
from kaozheng_service.config.site import Site
from kaozheng_vision.diagnose import Fault

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
KINDS = [kind.value for kind in (*AlarmKind, *Fault)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_alarm_has_a_line_with_the_words_of_the_page_and_a_next_step(kind: str) -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{kind}`" in line]
    assert len(lines) == 1
    assert alarm_name(kind) in lines[0]
    assert len(lines[0].strip("|").split("|")[3].strip()) > 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["zh_CN", "en"])
def test_every_alarm_has_a_name_and_a_next_step_in_both_languages(kind: str, language: str) -> None:
    assert alarm_name(kind, language) != kind  # type: ignore[arg-type]
    assert next_step(kind, language)  # type: ignore[arg-type]


def test_what_it_writes_into_the_site_file_is_read() -> None:
    site = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    parts = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    for part in parts:
        if "groups" not in part:
            site |= part
    read = Site.model_validate(site)
    assert read.alarms.channels == ("duty", "mail")
    assert read.storage.reserve_gb == 50


def test_every_number_that_it_has_prometheus_ask_for_is_one() -> None:
    source = (PROJECT / "service" / "kaozheng_service" / "web" / "metrics.py").read_text(encoding="utf-8")
    for name in re.findall(r"kaozheng_([a-z_]+)", PAGE.partition("groups:")[2]):
        assert f'"{name}"' in source
