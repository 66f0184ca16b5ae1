"""The exam profiles that come with kaozheng: one YAML file each in ``configs/profiles``, versioned, with its source."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from kaozheng_coverage.profile import Profile, Rule

from kaozheng_service.config.document import Document
from kaozheng_service.config.site import ProfileEntry, RuleEntry
from kaozheng_service.errors import UserError

# Where the project stands, and where an installed wheel puts the same files.
_PLACES = (
    Path(__file__).resolve().parents[3] / "configs" / "profiles",
    Path(sys.prefix) / "share" / "kaozheng" / "profiles",
)


@cache
def built_in_profiles() -> dict[str, Profile]:
    """The profiles by id. Raises UserError, with file, line and field, for a profile file that does not fit."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    if folder is None:
        raise UserError(f"the exam profiles are missing: {_PLACES[0]} is not there; install kaozheng anew")
    profiles = {}
    for path in sorted(folder.glob("*.yaml")):
        profile = load_profile(path)
        profiles[profile.id] = profile
    return profiles


def load_profile(path: Path) -> Profile:
    """Read one profile file (schema kaozheng/profile/1). Raises UserError with file, line, field and mend."""
    return profile_of(Document(path).parse(ProfileEntry))


def profile_of(entry: ProfileEntry) -> Profile:
    """The engine's record of a profile as it is written in a file."""
    return Profile(
        id=entry.id,
        version=entry.version,
        source=entry.source,
        seat={part: _rule(rule) for part, rule in entry.seat.items()},
        zones={kind.value: _rule(rule) for kind, rule in entry.zones.items()},
    )


def _rule(entry: RuleEntry) -> Rule:
    return Rule(entry.level, entry.visible, entry.cameras, entry.spare, entry.facing)
