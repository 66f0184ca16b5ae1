"""The unit that `kaozheng systemd-unit` prints: what keeps recorders running and the rest of the machine safe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError
from kaozheng_service.systemd_unit import unit_text

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml"


def sections(text: str) -> dict[str, dict[str, list[str]]]:
    """A unit as systemd reads it: section, name, values in order."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
            continue
        name, equals, value = line.partition("=")
        assert equals, line
        section.setdefault(name, []).append(value)
    return found


@pytest.fixture
def printed() -> dict[str, dict[str, list[str]]]:
    command = [sys.executable, "-m", "kaozheng_service", "systemd-unit", "--site", str(DEMO)]
    return sections(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_second_disk_may_be_written_and_its_absence_keeps_the_service_from_nothing(tmp_path: Path) -> None:
    text = DEMO.read_text(encoding="utf-8")
    site_file = tmp_path / "site.yaml"
    site_file.write_text(text.replace("reserve_gb: 1}", "reserve_gb: 1, second: {path: /mnt/second}}"))
    (tmp_path / "timetable.csv").touch()
    unit = sections(unit_text(load_site(site_file), site_file, user="kaozheng"))
    (written,) = unit["Service"]["ReadWritePaths"]
    assert written.split()[-1] == "-/mnt/second"
    assert "/mnt/second" not in unit["Unit"]["RequiresMountsFor"][0]


def test_a_restart_or_a_hang_ends_the_service_alone(printed: dict[str, dict[str, list[str]]]) -> None:
    service = printed["Service"]
    assert service["Type"] == ["notify"]
    assert service["KillMode"] == ["process"]
    assert service["Restart"] == ["always"]
    assert 20 <= int(service["WatchdogSec"][0]) <= 120
    assert printed["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_it_starts_this_site_with_this_program(printed: dict[str, dict[str, list[str]]]) -> None:
    (start,) = printed["Service"]["ExecStart"]
    program, *arguments = start.split()
    assert Path(program) == Path(sys.executable).with_name("kaozheng")
    assert arguments == ["serve", "--config", str(DEMO), "--log-format", "json"]


def test_it_runs_without_rights_and_writes_archive_and_state_only(
    printed: dict[str, dict[str, list[str]]],
) -> None:
    service = printed["Service"]
    site = load_site(DEMO)
    assert service["User"] == ["kaozheng"]
    assert service["ReadWritePaths"] == [f"{site.archive.resolve()} {site.state.resolve()}"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]
    assert all(service[name] == ["yes"] for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices"))
    # It must be able to ask whether the clock is disciplined.
    assert "ProtectClock" not in service
    assert "adjtimex" in service["SystemCallFilter"][0]


def test_no_name_is_left_open(printed: dict[str, dict[str, list[str]]]) -> None:
    assert "@" not in str(printed).replace("@system-service", "")


@pytest.mark.parametrize("user", ["root", "", "a b", "x\nExecStartPre=/bin/sh"])
def test_an_account_that_is_none_or_may_do_all_is_refused(user: str) -> None:
    with pytest.raises(UserError, match="not root"):
        unit_text(load_site(DEMO), DEMO, user=user)


def test_paths_that_a_unit_cannot_hold_are_refused_and_percents_doubled(tmp_path: Path) -> None:
    site = load_site(DEMO)
    with pytest.raises(UserError, match="without blanks"):
        unit_text(site, tmp_path / "a b.yaml", user="kaozheng")
    assert "100%%.yaml" in unit_text(site, tmp_path / "100%.yaml", user="kaozheng")
