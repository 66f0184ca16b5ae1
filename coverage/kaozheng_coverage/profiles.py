"""The built-in exam profiles. A site may state its own; these are versioned data with their reasons."""

from __future__ import annotations

from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.room import ZoneKind

THEORY = Profile(
    id="theory",
    version=1,
    source=(
        "Levels: EN 62676-4:2014. No public clause on angle, height or placement was found for exam rooms "
        "(the governing JY/T-KS-JS-2017-1 is not public); published rules ask for at least one HD camera and no "
        "blind corner. So one camera must show the head well enough to tell what a known person does (observe, "
        "62.5 px/m), nine tenths of it because a half hidden head cannot be followed; half of the torso above the "
        "desk, which a screen in front always hides in part; and a third of the hands and of the desk in front of the "
        "screen, enough to tell that something is there (detect, 25 px/m). The opening of the seal must show the "
        "bag itself (recognise, 125 px/m)."
    ),
    seat={
        Part.HEAD: Rule(Level.OBSERVE, 0.9),
        Part.TORSO: Rule(Level.OBSERVE, 0.5),
        Part.HANDS: Rule(Level.DETECT, 0.33),
        Part.DESK: Rule(Level.DETECT, 0.33),
    },
    zones={
        ZoneKind.SEAL_OPENING.value: Rule(Level.RECOGNISE, 0.9),
        ZoneKind.ANSWER_SEALING.value: Rule(Level.OBSERVE, 0.9),
        ZoneKind.INVIGILATOR.value: Rule(Level.OBSERVE, 0.6),
        ZoneKind.DOOR.value: Rule(Level.OBSERVE, 0.6),
        ZoneKind.WAITING.value: Rule(Level.DETECT, 0.8),
        ZoneKind.SECURE_STORE.value: Rule(Level.RECOGNISE, 0.9, cameras=2),
        ZoneKind.MARKING.value: Rule(Level.OBSERVE, 0.8),
    },
)

PRACTICAL = Profile(
    id="practical",
    version=1,
    source=(
        "As theory, and stricter where a practical exam is judged by what the hands do: the whole assessment is to "
        "be recorded (a college's exam-room rules, 2023), so half of the hands and of the desk must be seen well "
        "enough to follow an action (observe, 62.5 px/m), and the head by two cameras, because candidates turn and "
        "lean over their work."
    ),
    seat={
        Part.HEAD: Rule(Level.OBSERVE, 0.9, cameras=2),
        Part.TORSO: Rule(Level.OBSERVE, 0.5),
        Part.HANDS: Rule(Level.OBSERVE, 0.5),
        Part.DESK: Rule(Level.OBSERVE, 0.5),
    },
    zones=dict(THEORY.zones),
)

BUILT_IN: dict[str, Profile] = {profile.id: profile for profile in (THEORY, PRACTICAL)}
