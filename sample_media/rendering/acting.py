"""Who is in a room, and what they do over one loop. All but the bag end as they began: a torn seal stays torn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from rendering.mesh import Mesh
from rendering.people import Bag, Looks, Sitting, Standing, candidate, invigilator, sitting_pose
from rendering.room import places

LOOP_S = 16.0
_MOVE_S = 0.8
_POSES = 5


@dataclass(frozen=True)
class Actor:
    """A person: ``pose_at(seconds)`` is equal while they hold still, and ``body(pose)`` is their mesh."""

    pose_at: Callable[[float], Sitting | Standing]
    body: Callable[[Sitting | Standing], Mesh]


def cast(room: dict, seed: int) -> list[Actor]:
    """A candidate on every seat, an invigilator who opens the bag, and one who walks the side aisle."""
    random = np.random.default_rng(seed)
    actors = []
    desk = room["seats"]["desk"]
    for place in places(room):
        looks, bearing = Looks.drawn(random), math.radians(place.bearing_deg)
        back = desk["depth"] / 2 + 0.25
        chair = (place.x - math.sin(bearing) * back, place.y - math.cos(bearing) * back)
        poses = [sitting_pose(random, desk["height"]) for _ in range(_POSES)]
        starts = np.sort(
            random.uniform(0, LOOP_S / _POSES - _MOVE_S, _POSES) + np.arange(_POSES) * LOOP_S / _POSES
        )
        actors.append(_sitter(looks, poses, [float(start) for start in starts], chair, place.bearing_deg))
    for zone in room.get("zones", ()):
        if zone["kind"] == "seal_opening":
            actors.append(_opener(Looks.drawn(random), zone))
    actors.append(_walker(Looks.drawn(random), room))
    return actors


def _sitter(
    looks: Looks, poses: list[Sitting], starts: list[float], chair: tuple[float, float], bearing_deg: float
) -> Actor:
    def pose_at(seconds: float) -> Sitting:
        latest = max((index for index, start in enumerate(starts) if start <= seconds), default=-1)
        before, after = poses[latest - 1], poses[latest]
        since = seconds - starts[latest] if latest >= 0 else _MOVE_S
        return _between(before, after, since / _MOVE_S)

    return Actor(pose_at, lambda pose: candidate(looks, pose, chair, bearing_deg))


def _between(before: Sitting, after: Sitting, share: float) -> Sitting:
    if share >= 1:
        return after
    eased = _ease(share)
    mixed = {}
    for entry in fields(Sitting):
        a, b = np.asarray(getattr(before, entry.name)), np.asarray(getattr(after, entry.name))
        value = a + (b - a) * eased
        mixed[entry.name] = tuple(map(float, value)) if value.ndim else float(value)
    return Sitting(**mixed)


def _opener(looks: Looks, zone: dict) -> Actor:
    """Shows the sealed bag, opens it, takes the papers out and shows them; the next loop begins with a sealed bag."""
    xs, ys = [point[0] for point in zone["polygon"]], [point[1] for point in zone["polygon"]]
    bearing_deg = zone.get("bearing", 180)
    middle, ahead = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2), math.radians(bearing_deg)
    # The bag is held 0.36 m before the body: so both stand inside the zone.
    feet = (middle[0] - math.sin(ahead) * 0.22, middle[1] - math.cos(ahead) * 0.22)
    chest = (zone["bottom"] + zone["top"]) / 2 - 0.03

    def pose_at(seconds: float) -> Standing:
        showing = math.sin(2 * math.pi * seconds / 5.0)
        tearing = _pulse(seconds, 7.0, 7.8, 8.6)
        out = _ramp(seconds, 10.0, 12.5) - _ramp(seconds, 15.6, 16.8)
        opened = seconds >= 7.9
        turn = 9 * showing * (1 - tearing)
        bag = Bag((0.0, 0.36, chest), 8.0, 0.0, opened, out)
        grip = chest - 0.08
        lifted = max(tearing, out)
        right_up = (
            (chest + 0.19) * tearing + (chest + 0.12 + 0.22 * out) * out + grip * (1 - min(1, tearing + out))
        )
        right = (0.175 - 0.09 * lifted, 0.35, right_up)
        return Standing(
            feet,
            bearing_deg + turn,
            -0.6 * turn,
            4 + 14 * lifted,
            (-0.175, 0.33, grip),
            right,
            0.0,
            bag,
        )

    return Actor(pose_at, lambda pose: invigilator(looks, pose))


def _walker(looks: Looks, room: dict) -> Actor:
    """Walks the aisle between the desks and the right wall, to the front and back again."""
    desks = places(room)
    edge = max(desk.x for desk in desks) + room["seats"]["desk"]["width"] / 2
    x = (edge + max(point[0] for point in room["boundary"])) / 2
    near = min(desk.y for desk in desks) + 0.9
    far = near + 2.4
    # Half a loop each way: 1.6 s to turn round, the rest to walk.
    turning_s, half_s = 1.6, LOOP_S / 2

    def pose_at(seconds: float) -> Standing:
        back, within = divmod(seconds, half_s)
        share = max(0.0, (within - turning_s) / (half_s - turning_s))
        along = share if back < 1 else 1 - share
        y = near + (far - near) * along
        turn = 180 * (back - 1 + _ease(min(1.0, within / turning_s)))
        walking = min(1.0, share * 12, (1 - share) * 12)
        stride = 0.34 * math.sin(2 * math.pi * share * 4) * walking
        swing = stride * 0.45
        look = 25 * math.sin(2 * math.pi * seconds / half_s)
        hands = (-0.25, 0.03 + swing, 0.80), (0.25, 0.03 - swing, 0.80)
        return Standing((x, y), turn, -look, 6.0, *hands, stride)

    return Actor(pose_at, lambda pose: invigilator(replace(looks, scale=1.02), pose))


def _ease(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _ramp(seconds: float, start: float, end: float) -> float:
    return _ease((seconds - start) / (end - start))


def _pulse(seconds: float, start: float, peak: float, end: float) -> float:
    return _ramp(seconds, start, peak) - _ramp(seconds, peak, end)
