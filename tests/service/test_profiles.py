"""The exam profiles in configs/profiles: each loads, says where it comes from, and a faulty one names its fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from kaozheng_coverage.profile import Level, Part
from kaozheng_service.config.profiles import built_in_profiles, load_profile
from kaozheng_service.errors import UserError

PROFILES = Path(__file__).resolve().parents[2] / "configs" / "profiles"


def test_every_file_is_a_profile_under_its_own_name_with_a_source() -> None:
    profiles = built_in_profiles()
    assert set(profiles) == {path.stem for path in PROFILES.glob("*.yaml")}
    assert set(profiles) == {"theory", "practical", "marking", "secure-store"}
    for profile in profiles.values():
        assert "EN 62676-4:2014" in profile.source
        assert profile.version >= 1


def test_what_the_kinds_of_room_ask_for() -> None:
    profiles = built_in_profiles()
    assert profiles["practical"].seat[Part.HEAD].needed == 2
    assert profiles["theory"].zones["seal_opening"].facing_deg == 75.0
    store = profiles["secure-store"]
    assert not store.seat
    assert store.zones["secure_store"].needed == 2
    assert store.zones["door"].level is Level.IDENTIFY


@pytest.mark.parametrize(
    ("line", "replaced", "said"),
    [
        (
            "  head: {level: observe, visible: 0.9}",
            "  head: {level: observ, visible: 0.9}",
            "seat.head.level",
        ),
        (
            "  head: {level: observe, visible: 0.9}",
            "  head: {level: observe, visible: 90}",
            "seat.head.visible",
        ),
        ("  door: {level: observe, visible: 0.6}", "  doors: {level: observe, visible: 0.6}", "doors"),
    ],
)
def test_a_faulty_profile_names_file_line_and_field(
    tmp_path: Path, line: str, replaced: str, said: str
) -> None:
    text = (PROFILES / "theory.yaml").read_text(encoding="utf-8")
    assert line in text
    path = tmp_path / "own.yaml"
    path.write_text(text.replace(line, replaced), encoding="utf-8")
    number = text[: text.index(line)].count("\n") + 1
    with pytest.raises(UserError) as error:
        load_profile(path)
    assert f"{path}:{number}" in str(error.value)
    assert said in str(error.value)
