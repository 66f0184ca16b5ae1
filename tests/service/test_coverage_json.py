"""`kaozheng coverage --json`: every field that is printed is documented, and the numbers fit together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from kaozheng_coverage.verdict import Cause
from kaozheng_service.cli.commands import app
from typer.testing import CliRunner

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def printed() -> dict[str, Any]:
    site = PROJECT / "configs" / "demo" / "site.yaml"
    told = CliRunner().invoke(app, ["coverage", "9-101", "--config", str(site), "--json", "--draws", "3"])
    assert told.exit_code == 1
    return dict(json.loads(told.stdout))


def documented() -> str:
    text = (PROJECT / "docs" / "formats.md").read_text(encoding="utf-8")
    return text[text.index("## Coverage verdict") : text.index("## Bag")]


def fields(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for one in value.values() for name in fields(one)}
    if isinstance(value, list):
        return {name for one in value for name in fields(one)}
    return set()


def test_every_field_and_cause_is_documented(printed: dict[str, Any]) -> None:
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", documented()))))
    assert not fields(printed) - words
    assert not {cause.value for cause in Cause} - words


def test_counts_outcomes_and_draws_fit_together(printed: dict[str, Any]) -> None:
    targets = printed["seats"] + printed["zones"]
    assert printed["schema"] == "kaozheng/coverage/1"
    for outcome, count in printed["counts"].items():
        assert sum(target["outcome"] == outcome for target in targets) == count
    assert printed["outcome"] == "fail"
    assert printed["draws"]["draws"] == 3
    assert len(printed["draws"]["targets"]) + printed["draws"]["left_out"] == len(targets)
    for target in targets:
        for part in target["parts"]:
            for sight in part["sights"]:
                assert sight["visible_least"] <= sight["visible"] <= 1
                assert sight["px_per_m"] <= sight["px_per_m_p5"] <= sight["px_per_m_median"]
    mends = [target["mend"] for target in targets if target["mend"]]
    assert mends
    assert all(mend["verified"] and mend["camera"] for mend in mends)
    assert printed["additions"]["verified"]
