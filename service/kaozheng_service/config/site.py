"""The site file: buildings, rooms, cameras, profiles, credentials and storage of one exam site.

Lengths in metres, angles in degrees, as an exam office would measure and write them. ``kaozheng schema``
prints the JSON Schema of :class:`Site`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kaozheng_coverage.card import DEFAULT_MARKER_M, LEAST_MARKER_M, TALL
from kaozheng_coverage.profile import Level, Part
from kaozheng_coverage.room import ZoneKind
from pydantic import (
    Field,
    PrivateAttr,
    StringConstraints,
    field_validator,
    model_validator,
)

from kaozheng_service.config.access import Access, Web
from kaozheng_service.config.alarms import Alarms
from kaozheng_service.config.anchors import Anchors, WitnessService
from kaozheng_service.config.calendar import Calendar
from kaozheng_service.config.cameras import CameraConfig
from kaozheng_service.config.case_rules import CaseRules, RetentionRules
from kaozheng_service.config.document import Document, FileError
from kaozheng_service.config.drawing_map import DrawingMap
from kaozheng_service.config.fields import (
    Degrees,
    DeskEntry,
    Id,
    Length,
    Metres,
    MonitorEntry,
    Part_,
    Point2,
    Polygon,
)
from kaozheng_service.config.verification import Verification
from kaozheng_service.config.window_rules import SESSION_ROOM, WindowPlan
from kaozheng_service.errors import UserError


class Solid(Part_):
    """An upright solid such as a pillar or a cabinet."""

    id: Id
    footprint: Polygon
    bottom: Metres = 0.0
    top: Length

    @model_validator(mode="after")
    def _has_height(self) -> Solid:
        if self.top <= self.bottom:
            raise ValueError(
                f"top {self.top} is not above bottom {self.bottom}; heights are metres above the floor"
            )
        return self


class SeatGrid(Part_):
    """Rows of equal desks. ``first`` is the middle of the first desk; ``step`` how far the next column and row are."""

    rows: Annotated[int, Field(ge=1, le=200)]
    columns: Annotated[int, Field(ge=1, le=200)]
    first: Point2
    step: Point2
    bearing: Degrees = 0.0
    numbers: Annotated[str, StringConstraints(pattern=r"^\D*\d+$")] = "01"
    without: list[str] = Field(default_factory=list, description="numbers that are counted but have no desk")

    @model_validator(mode="after")
    def _leaves_out_what_there_is(self) -> SeatGrid:
        unknown = set(self.without) - set(next_numbers(self.numbers, self.rows * self.columns))
        if unknown:
            raise ValueError(f"without names {', '.join(sorted(unknown))}, which is no number of this grid")
        return self


class SeatEntry(Part_):
    """One seat of its own, where desks do not stand in a grid."""

    number: Annotated[str, StringConstraints(min_length=1, max_length=12)]
    position: Point2
    bearing: Degrees = 0.0


SeatList = list[SeatEntry]  # named here: inside Seats the field hides the built-in list


class Seats(Part_):
    """The seats of a room: a grid, a list, or both; all with the same desk and monitor."""

    grid: SeatGrid | None = None
    list: SeatList = Field(default_factory=list)
    desk: DeskEntry
    monitor: MonitorEntry | None = None


class ZoneEntry(Part_):
    id: Id
    kind: ZoneKind
    polygon: Polygon
    bottom: Metres = 0.0
    top: Length
    bearing: Degrees | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> ZoneEntry:
        if self.top <= self.bottom:
            raise ValueError(
                f"top {self.top} is not above bottom {self.bottom}; heights are metres above the floor"
            )
        if self.kind is ZoneKind.SEAL_OPENING and self.bearing is None:
            raise ValueError(
                "a seal_opening zone needs a bearing: where the sealed bag faces, 180 = to the back wall"
            )
        return self


class RoomConfig(Part_):
    """A room: `schema: kaozheng/room/1` when it is a file of its own."""

    schema_: Literal["kaozheng/room/1"] | None = Field(default=None, alias="schema")
    id: Id
    name: str
    building: Id | None = None
    aliases: list[str] = Field(default_factory=list, description="other names of this room in timetables")
    profile: Id = "theory"
    boundary: Polygon
    height: Length
    obstacles: list[Solid] = Field(default_factory=list)
    seats: Seats | None = Field(default=None, description="none in a secure store")
    zones: list[ZoneEntry] = Field(default_factory=list)
    card_marker: Annotated[float, Field(ge=LEAST_MARKER_M, le=TALL.most_marker_m)] = Field(
        default=DEFAULT_MARKER_M, description="side of the marker on this room's desk cards, as printed"
    )
    cameras: Annotated[list[CameraConfig], Field(min_length=1)]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> RoomConfig:
        _refuse_repeats("camera id", [camera.id for camera in self.streams])
        _refuse_repeats("camera source", [camera.source for camera in self.streams])
        _refuse_repeats("zone id", [zone.id for zone in self.zones])
        _refuse_repeats("obstacle id", [obstacle.id for obstacle in self.obstacles])
        return self

    @property
    def streams(self) -> tuple[CameraConfig, ...]:
        """All that is recorded of the room: each camera, and after it its substream."""
        return tuple(stream for camera in self.cameras for stream in camera.streams)

    def stream(self, camera_id: str) -> CameraConfig:
        """The camera or substream of that id. Raises UserError naming those there are."""
        for stream in self.streams:
            if stream.id == camera_id:
                return stream
        return self.camera(camera_id)

    def camera(self, camera_id: str) -> CameraConfig:
        """The camera of that id. Raises UserError naming those there are."""
        for camera in self.cameras:
            if camera.id == camera_id:
                return camera
        known = ", ".join(camera.id for camera in self.cameras)
        raise UserError(f"room {self.id} has no camera {camera_id!r}; it has {known}")


class Building(Part_):
    id: Id
    name: str
    owner: str | None = None


class RuleEntry(Part_):
    level: Level
    visible: Annotated[float, Field(gt=0, le=1)]
    cameras: Annotated[int, Field(ge=1, le=20)] = 1
    spare: Annotated[int, Field(ge=0, le=20)] = Field(
        default=0, description="so many cameras more, so that the rule holds when as many fail"
    )
    facing: Annotated[float, Field(gt=0, le=90)] | None = Field(
        default=None, description="degrees off the target's front from which a camera no longer counts"
    )


class ProfileEntry(Part_):
    """What must be seen of each target: a profile of this site's own, or a file of its own (`kaozheng/profile/1`)."""

    schema_: Literal["kaozheng/profile/1"] | None = Field(default=None, alias="schema")

    id: Id
    version: Annotated[int, Field(ge=1)] = 1
    source: str = Field(description="the document that sets these rules")
    seat: dict[Part, RuleEntry]
    zones: dict[ZoneKind, RuleEntry] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_parts_of_a_seat(self) -> ProfileEntry:
        if Part.AREA in self.seat:
            raise ValueError("a seat has no area; name head, torso, hands or desk, and zones under zones")
        return self


class Credential(Part_):
    """A camera login. The password itself stays outside this file."""

    id: Id
    username: str
    password_env: str | None = Field(default=None, description="environment variable that holds the password")
    password_file: Path | None = Field(default=None, description="file that holds only the password")

    @model_validator(mode="after")
    def _says_where(self) -> Credential:
        if (self.password_env is None) == (self.password_file is None):
            raise ValueError("name exactly one of password_env and password_file")
        return self


class SecondStorage(Part_):
    """Where a second copy is kept: another disk, or a share that is mounted. Relative to the site file."""

    path: Path


class Storage(Part_):
    """Folders, relative to the site file. ``state`` keeps the database, the signed log and its key."""

    archive: Path = Path("archive")
    state: Path = Path("state")
    reserve_gb: Annotated[float, Field(ge=0)] = Field(
        default=5.0, description="free space below which windows that are no exam are not begun"
    )
    second: SecondStorage | None = Field(
        default=None, description="footage and state are copied there too; recording never waits for it"
    )

    @model_validator(mode="after")
    def _second_is_elsewhere(self) -> Storage:
        if self.second is not None:
            there = self.second.path
            for name, path in (("archive", self.archive), ("state", self.state)):
                if path == there or path in there.parents or there in path.parents:
                    raise ValueError(
                        f"second.path {there} and {name} {path} lie in each other; name a folder on another disk"
                    )
        return self


class Recording(Part_):
    """How windows are recorded. Pre- and post-roll: sign-in begins an hour before, answers are sealed after."""

    pre_roll_min: Annotated[float, Field(ge=0, le=240)] = 60.0
    post_roll_min: Annotated[float, Field(ge=0, le=240)] = 30.0
    segment_s: Annotated[float, Field(ge=1, le=600)] = 30.0
    silence_s: Annotated[float, Field(ge=3, le=600)] = Field(
        default=15.0, description="a stream that brings no byte for so long is cut and opened anew"
    )
    audio: bool = Field(default=True, description="sound is recorded too; a camera may say otherwise")
    watch_s: Annotated[float, Field(ge=1, le=60)] = Field(
        default=5.0, description="every picture that is being recorded is judged so often"
    )
    session_sheets: bool = Field(
        default=True,
        description="when a window closes, its session sheet is printed to a PDF in the state folder",
    )


class Site(Part_):
    """One exam site (考点)."""

    schema_: Literal["kaozheng/site/1"] = Field(alias="schema")
    id: Id
    name: str
    timezone: str = "Asia/Shanghai"
    drawing: DrawingMap | None = Field(default=None, description="what the layers of a DXF plan hold")
    timetable: Path | None = Field(
        default=None, description="the 考场安排表, Excel (.xlsx) or CSV, relative to this file"
    )
    windows: WindowPlan = Field(
        default=WindowPlan(), description="what is recorded beside the sessions of the timetable"
    )
    batch: str | None = Field(default=None, description="the certification batch (认定批次) now running")
    storage: Storage = Storage()
    recording: Recording = Recording()
    alarms: Alarms = Alarms()
    calendar: Calendar = Calendar()
    cases: CaseRules = CaseRules()
    retention: RetentionRules = RetentionRules()
    web: Web = Web()
    access: Access = Access()
    verification: Verification = Verification()
    anchors: Anchors = Field(default=Anchors(), description="where the log's head is put out of reach")
    witness: WitnessService | None = Field(
        default=None, description="logs of other sites that this one cosigns"
    )
    credentials: list[Credential] = Field(default_factory=list)
    profiles: list[ProfileEntry] = Field(default_factory=list)
    buildings: list[Building] = Field(default_factory=list)
    rooms: Annotated[list[RoomConfig], Field(min_length=1)]

    _folder: Path = PrivateAttr(default=Path())
    _file_sha256: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _profiles_are_unique(self) -> Site:
        _refuse_repeats("profile", [profile.id for profile in self.profiles])
        return self

    @model_validator(mode="after")
    def _anchor_mail_has_a_server(self) -> Site:
        if self.anchors.mail is not None and self.alarms.mail is None:
            raise ValueError("anchors: mail: needs a server; describe it under alarms: mail:")
        return self

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{name!r} is not an IANA time zone; write one such as Asia/Shanghai") from None
        return name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def archive(self) -> Path:
        return self._folder / self.storage.archive

    @property
    def state(self) -> Path:
        return self._folder / self.storage.state

    @property
    def second(self) -> Path | None:
        """Where the second copy is kept; None where there is none."""
        return self._folder / self.storage.second.path if self.storage.second is not None else None

    @property
    def folder(self) -> Path:
        """The site file's folder, which relative paths in it start from."""
        return self._folder

    @property
    def file_sha256(self) -> str:
        """Of the site file's bytes as they were read; "" where it was made in memory."""
        return self._file_sha256

    def room(self, room_id: str) -> RoomConfig:
        """The room of that id, name or alias. Raises UserError naming those there are."""
        for room in self.rooms:
            if room_id in (room.id, room.name, *room.aliases):
                return room
        known = ", ".join(room.id for room in self.rooms)
        raise UserError(f"site {self.id} has no room {room_id!r}; it has {known}")

    def records_audio(self, camera: CameraConfig) -> bool:
        """Whether a camera's sound is recorded: as it says itself, else as the site does."""
        return self.recording.audio if camera.audio is None else camera.audio

    def credential(self, credential_id: str) -> Credential:
        return next(entry for entry in self.credentials if entry.id == credential_id)


def load_site(path: Path) -> Site:
    """Read and check a site file.

    Raises
    ------
    UserError : every fault of the file, each with line, field and mend
    """
    from kaozheng_service.config.geometry import geometry_faults

    document = Document(path)
    site = document.parse(Site)
    faults = [document.fault(at, message) for at, message in _cross_faults(site)]
    for index, room in enumerate(site.rooms):
        faults += [
            document.fault(("rooms", index, *at), message) for at, message in geometry_faults(site, room)
        ]
    if faults:
        raise FileError(faults)
    site._folder = path.resolve().parent
    site._file_sha256 = document.sha256
    return site


def load_room(path: Path) -> RoomConfig:
    """Read and check a room file of its own. Raises UserError as :func:`load_site` does."""
    from kaozheng_service.config.geometry import geometry_faults

    document = Document(path)
    room = document.parse(RoomConfig)
    faults = [document.fault(at, message) for at, message in geometry_faults(None, room)]
    if faults:
        raise FileError(faults)
    return room


def _cross_faults(site: Site) -> list[tuple[tuple[str | int, ...], str]]:
    """What only the whole file shows: repeated names, and names of things that are not there."""
    faults: list[tuple[tuple[str | int, ...], str]] = []
    names: dict[str, str] = {SESSION_ROOM: "of each session, in the rules of `windows`"}
    buildings = {building.id for building in site.buildings}
    credentials = {credential.id for credential in site.credentials}
    for number, room in enumerate(site.rooms):
        for name in {room.id, room.name, *room.aliases}:
            if name in names:
                faults.append(
                    (
                        ("rooms", number, "id"),
                        f"{name!r} already names room {names[name]}; a name is one room's",
                    )
                )
            names[name] = room.id
        if room.building is not None and room.building not in buildings:
            faults.append(
                (("rooms", number, "building"), f"no building {room.building!r} in buildings; add it there")
            )
        for place, camera in enumerate(room.cameras):
            if camera.credential is not None and camera.credential not in credentials:
                where = ("rooms", number, "cameras", place, "credential")
                faults.append((where, f"no credential {camera.credential!r} in credentials; add it there"))
            kept = camera.playback.credential if camera.playback is not None else None
            if kept is not None and kept not in credentials:
                place_of = ("rooms", number, "cameras", place, "playback", "credential")
                faults.append((place_of, f"no credential {kept!r} in credentials; add it there"))
    for number, rule in enumerate(site.windows.rules):
        if rule.room not in names:
            known = ", ".join([SESSION_ROOM, *(room.id for room in site.rooms)])
            faults.append(
                (("windows", "rules", number, "room"), f"no room {rule.room!r}; write one of {known}")
            )
    return faults


def _refuse_repeats(what: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"{what} {repeated[0]!r} is given {names.count(repeated[0])} times; give each its own"
        )


def next_numbers(first: str, count: int) -> list[str]:
    """``count`` seat numbers from ``first`` on, zero-padded as it is: "A08" gives A08, A09, A10."""
    match = re.fullmatch(r"(\D*)(\d+)", first)
    if match is None:
        raise ValueError(f"{first!r} does not end in digits")
    prefix, digits = match.groups()
    return [f"{prefix}{int(digits) + index:0{len(digits)}d}" for index in range(count)]
