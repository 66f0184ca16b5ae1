"""From the site file's rooms to the coverage engine's records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.errors import CoverageError, LensError
from kaozheng_coverage.lens import MAX_SPREAD, Lens, calibrated_lens, fit_lens
from kaozheng_coverage.pose import with_covariance
from kaozheng_coverage.profile import Profile
from kaozheng_coverage.room import Desk, Monitor, Prism, Room, Seat, Zone

from kaozheng_service.config.cameras import CameraConfig, LensEntry
from kaozheng_service.config.profiles import built_in_profiles, profile_of
from kaozheng_service.config.site import RoomConfig, Seats, Site, next_numbers

Fault = tuple[tuple[str | int, ...], str]


def room_geometry(room: RoomConfig) -> Room:
    """The room with its grid of seats laid out: row by row from the first seat."""
    return Room(
        id=room.id,
        name=room.name,
        boundary=tuple(room.boundary),
        height_m=room.height,
        obstacles=tuple(
            Prism(solid.id, tuple(solid.footprint), solid.bottom, solid.top) for solid in room.obstacles
        ),
        seats=tuple(_seats(room.seats)) if room.seats else (),
        zones=tuple(
            Zone(zone.id, zone.kind, tuple(zone.polygon), zone.bottom, zone.top, zone.bearing)
            for zone in room.zones
        ),
    )


def _seats(entry: Seats) -> list[Seat]:
    desk = Desk(entry.desk.width, entry.desk.depth, entry.desk.height)
    screen = entry.monitor
    monitor = None
    if screen is not None:
        monitor = Monitor(screen.width, screen.height, screen.bottom, screen.thickness, screen.setback)
    seats: list[Seat] = []
    grid = entry.grid
    if grid is not None:
        numbers = iter(next_numbers(grid.numbers, grid.rows * grid.columns))
        for row in range(grid.rows):
            for column in range(grid.columns):
                number = next(numbers)
                centre = (grid.first[0] + column * grid.step[0], grid.first[1] + row * grid.step[1])
                if number not in grid.without:
                    seats.append(Seat(number, centre, grid.bearing, desk, monitor))
    seats += [Seat(seat.number, seat.position, seat.bearing, desk, monitor) for seat in entry.list]
    return seats


def room_cameras(room: RoomConfig) -> tuple[Camera, ...]:
    """The room's cameras. Raises LensError where angles fit no lens."""
    return tuple(_camera(camera) for camera in room.cameras)


def stated_camera(camera: CameraConfig) -> Camera:
    """The camera as it was measured by hand, whatever a calibration found. Raises LensError."""
    lens = _lens(camera.lens, camera.resolution)
    return Camera(camera.id, camera.position, camera.aim, lens, camera.roll, camera.aim_tolerance)


def _camera(camera: CameraConfig) -> Camera:
    stated, found = stated_camera(camera), camera.calibrated
    if found is None:
        return stated
    off = abs(found.focal_px / stated.lens.focal_px - 1.0)
    if off > MAX_SPREAD:
        raise LensError(
            f"the calibrated focal length of {found.focal_px:g} px is {off:.0%} off this lens' "
            f"{stated.lens.focal_px:.0f} px: the lens was changed since; remove `calibrated` and calibrate anew"
        )
    lens = replace(stated.lens, focal_px=found.focal_px, note=f"{stated.lens.note}; refined by desk cards")
    posed = replace(stated, position_m=found.position, aim_m=found.aim, roll_deg=found.roll, lens=lens)
    return with_covariance(posed, np.array(found.covariance))


def _lens(entry: LensEntry, size: tuple[int, int]) -> Lens:
    found = entry.calibration
    if found is not None:
        # OpenCV counts from the middle of the first pixel, the engine from its corner.
        centre = (found.cx + 0.5, found.cy + 0.5)
        return calibrated_lens(
            found.model, *size, (found.fx, found.fy), centre, tuple(found.coefficients), found.tolerance
        )
    assert entry.hfov is not None  # noqa: S101 - the entry's own check
    return fit_lens(*size, entry.hfov, entry.vfov, entry.dfov)


def room_profile(site: Site | None, room: RoomConfig) -> Profile:
    """The profile that the room names: the site's own, else a built-in one. KeyError if there is none."""
    for entry in site.profiles if site else ():
        if entry.id == room.profile:
            return profile_of(entry)
    return built_in_profiles()[room.profile]


def geometry_faults(site: Site | None, room: RoomConfig) -> list[Fault]:
    """What is wrong with a room's geometry, each with its place in the room's part of the file."""
    from kaozheng_coverage.check import check_room

    faults: list[Fault] = []
    cameras = []
    for index, camera in enumerate(room.cameras):
        try:
            cameras.append(_camera(camera))
        except CoverageError as error:
            faults.append((("cameras", index, "lens"), str(error)))
    try:
        check_room(room_geometry(room), tuple(cameras))
    except CoverageError as error:
        faults.append(((), str(error)))
    try:
        room_profile(site, room)
    except KeyError:
        own = [profile.id for profile in site.profiles] if site else []
        known = ", ".join([*own, *built_in_profiles()])
        faults.append((("profile",), f"there is no profile {room.profile!r}; use one of {known}"))
    return faults
