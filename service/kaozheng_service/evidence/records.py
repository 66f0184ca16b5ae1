"""Every kind of record that goes into the log, with exactly the fields that are signed.

A record is canonical JSON (RFC 8785) of ``{"kind": ..., "at": ..., fields...}``. Times are RFC 3339 UTC
with milliseconds; ``docs/formats.md`` is the public description.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar

from kaozheng_service.clock import to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """``at`` is when it was written down, aware UTC."""

    kind: ClassVar[str]
    at: datetime

    def to_json(self) -> dict[str, Any]:
        body = {
            name: to_text(value) if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }
        return {"kind": self.kind, **body}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowExpected(Record):
    """This window must be recorded on these cameras. ``activity`` is the window's kind; the rest as its row has it."""

    kind: ClassVar[str] = "window.expected"
    window: str
    room: str
    cameras: list[str]
    title: str
    starts_at: datetime
    ends_at: datetime
    activity: str
    batch: str | None
    exam_starts_at: datetime | None
    exam_ends_at: datetime | None
    origin: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCancelled(Record):
    """From ``at`` on this window is not to be recorded. Written after it began, it excuses nothing of before or after:
    what is missing then needs its gap.
    """

    kind: ClassVar[str] = "window.cancelled"
    window: str
    room: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOpened(Record):
    """``token`` is the fencing token of who records: of two takes at one time the higher one's is the holder's."""

    kind: ClassVar[str] = "take.opened"
    take: str
    window: str
    room: str
    camera: str
    number: int
    token: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecorded(Record):
    """``number`` counts from 1 in the take; ``previous`` is the sha256 of the segment before it, "" for the first.

    ``run`` to ``last_pts_s`` tell how it was dated, as the database's ``Segment`` says; None where that is not known.
    ``fragments_root`` is the tree hash over the file's ``fragments`` pieces, by which a part of it proves itself.
    """

    kind: ClassVar[str] = "segment"
    take: str
    window: str
    room: str
    camera: str
    number: int
    path: str
    bytes: int
    sha256: str
    previous: str
    starts_at: datetime
    ends_at: datetime
    frames: int
    codec: str
    width: int
    height: int
    run: int | None
    step_s: float | None
    boot: str | None
    boot_s: float | None
    clock: str | None
    clock_error_s: float | None
    first_pts_s: float | None
    last_pts_s: float | None
    fragments: int | None = None
    fragments_root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeClosed(Record):
    """``segments`` is how many there are and ``last`` the sha256 of the last: a cut tail shows."""

    kind: ClassVar[str] = "take.closed"
    take: str
    window: str
    room: str
    camera: str
    segments: int
    last: str
    cause: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeCopied(Record):
    """All of a closed take was read back from the second disk: so many segments, and the sha256 of the last.

    ``copy`` is the id in the disk's marker.
    """

    kind: ClassVar[str] = "take.copied"
    take: str
    window: str
    room: str
    camera: str
    segments: int
    last: str
    copy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDamaged(Record):
    """A file of footage is not as entry ``segment`` of the log says.

    ``copy`` is ``first`` or ``second``, ``fault`` ``changed``, ``missing`` or ``unreadable``; ``sha256`` was signed,
    ``found`` is what was read instead, "" where nothing was.
    """

    kind: ClassVar[str] = "file.damaged"
    segment: int
    take: str
    window: str
    room: str
    camera: str
    path: str
    copy: str
    fault: str
    sha256: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRepaired(Record):
    """The file that entry ``damaged`` of the log names is as it was signed again, copied from ``source``.

    ``source`` is ``first`` or ``second``, "" where other hands put it there. ``aside`` is where the damaged file lies,
    below the folder of its copy; "" where there was none.
    """

    kind: ClassVar[str] = "file.repaired"
    damaged: int
    take: str
    window: str
    room: str
    camera: str
    path: str
    copy: str
    source: str
    sha256: str
    aside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationDone(Record):
    """All of the archive was read, and of the second copy ``second_files``, null where that was not there.

    ``log_size`` is how much of the log it was held against; ``damaged`` and ``repaired`` count files of both copies.
    """

    kind: ClassVar[str] = "verification.done"
    begun_at: datetime
    log_size: int
    files: int
    bytes: int
    second_files: int | None
    damaged: int
    repaired: int
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GapExplained(Record):
    kind: ClassVar[str] = "gap"
    window: str
    room: str
    camera: str
    starts_at: datetime
    ends_at: datetime
    cause: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowClosed(Record):
    """The window is over and nothing more will be added: per camera, how many takes and gaps it has."""

    kind: ClassVar[str] = "window.closed"
    window: str
    room: str
    takes: dict[str, int]
    gaps: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOpened(Record):
    """Footage of a gap came afterwards from ``source``. A kind of its own, so that no reader takes it for recorded.

    ``gap`` is the index of the gap's record. ``time_source`` is how its times are known: ``requested_range`` is the
    begin of the range asked for and the stream's own time stamps; they may be off by ``uncertainty_s``.
    """

    kind: ClassVar[str] = "backfill.opened"
    take: str
    window: str
    room: str
    camera: str
    number: int
    gap: int
    backfilled: bool
    source: str
    asked_from: datetime
    asked_to: datetime
    fetched_at: datetime
    time_source: str
    uncertainty_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSegment(Record):
    """As :class:`SegmentRecorded`; ``overlapping_s`` of it lie beyond the gap."""

    kind: ClassVar[str] = "backfill.segment"
    take: str
    window: str
    room: str
    camera: str
    number: int
    path: str
    bytes: int
    sha256: str
    previous: str
    starts_at: datetime
    ends_at: datetime
    frames: int
    overlapping_s: float
    first_pts_s: float | None = None
    fragments: int | None = None
    fragments_root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillClosed(Record):
    """As :class:`TakeClosed`; ``cause`` is ``range_ended`` where all that was asked for came."""

    kind: ClassVar[str] = "backfill.closed"
    take: str
    window: str
    room: str
    camera: str
    segments: int
    last: str
    cause: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GapHealed(Record):
    """For this part of the gap at index ``gap`` there is backfilled footage in ``take``. It stays a gap."""

    kind: ClassVar[str] = "gap.healed"
    gap: int
    take: str
    window: str
    room: str
    camera: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillGivenUp(Record):
    """After ``attempts`` to fetch it, ``missing_s`` of the gap at index ``gap`` are still without footage."""

    kind: ClassVar[str] = "backfill.given_up"
    gap: int
    window: str
    room: str
    camera: str
    attempts: int
    missing_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked(Record):
    """``by`` is who marked it, "" where that was not noted."""

    kind: ClassVar[str] = "mark"
    room: str
    moment: datetime
    mark: str
    note: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRaised(Record):
    """A fault was told. ``alarm`` names it and ``detail`` says what was measured.

    ``window``, ``room`` and ``camera`` are "" where it is about more than one.
    """

    kind: ClassVar[str] = "alarm.raised"
    window: str
    room: str
    camera: str
    alarm: str
    raised_at: datetime
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmCleared(Record):
    """``ended`` is ``clear``, ``window_ended``, or ``told`` for what has no length."""

    kind: ClassVar[str] = "alarm.cleared"
    window: str
    room: str
    camera: str
    alarm: str
    raised_at: datetime
    cleared_at: datetime
    ended: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAccepted(Record):
    """From now on this picture is what the camera's view is held against. ``light`` is day or infrared."""

    kind: ClassVar[str] = "reference.accepted"
    room: str
    camera: str
    light: str
    inspection: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected(Record):
    """``result_sha256`` is of the inspection's JSON, ``sheet_sha256`` of the printed sheet's PDF.

    On the sheet stands the checkpoint of the log's first ``log_size`` entries; None in records of before it was noted.
    """

    kind: ClassVar[str] = "inspection"
    inspection: str
    room: str
    outcome: str
    result_sha256: str
    sheet_sha256: str
    log_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetPrinted(Record):
    """A session sheet: ``sha256`` of its PDF; on it stands the checkpoint of the log's first ``log_size`` entries."""

    kind: ClassVar[str] = "sheet.printed"
    window: str
    room: str
    sha256: str
    log_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanged(Record):
    """From this entry on the log is signed by another key. ``old`` and ``new`` are keys as signed-note writes them;
    ``signature`` is the old one's, base64, over what ``disputes.standalone.key_changes.change_text`` gives.
    """

    kind: ClassVar[str] = "key.changed"
    old: str
    new: str
    reason: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorStamped(Record):
    """The authority ``tsa`` time-stamped the head of the log's first ``size`` entries. ``root`` is hexadecimal.

    ``folder`` below the anchors holds the checkpoint and the token, whose ``sha256`` this is; ``stamped_at`` is what
    the token says, ``checked`` whether it was verified against the authority's certificate.
    """

    kind: ClassVar[str] = "anchor.stamped"
    size: int
    root: str
    tsa: str
    folder: str
    token: str
    stamped_at: datetime
    checked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorWitnessed(Record):
    """The witness of that printed ``key`` cosigned the head. ``checkpoint`` is the SHA-256 of the cosigned text."""

    kind: ClassVar[str] = "anchor.witnessed"
    size: int
    root: str
    witness: str
    key: str
    folder: str
    checkpoint: str
    cosigned_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorMailed(Record):
    """A mail server took the head for so many ``recipients``; their addresses stay out of the log."""

    kind: ClassVar[str] = "anchor.mailed"
    size: int
    root: str
    recipients: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationEffective(Record):
    """From ``at`` on the service works by this configuration: of the site file's bytes, and of what it means.

    ``effective_sha256`` is of the canonical JSON kept in the state folder, defaults filled in and logins left out.
    """

    kind: ClassVar[str] = "config.effective"
    file_sha256: str
    effective_sha256: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported(Record):
    """What was handed over: the claim, the sha256 of each file by its path in the bag, and the records beside it.

    ``files`` leaves out the records and the checkpoint, which hold this record, and the bag's own manifests.
    ``records`` are the log's indices. ``seat`` is what it is about and ``by`` who exported it, "" if none was named.
    """

    kind: ClassVar[str] = "export"
    export: str
    room: str
    cameras: list[str]
    starts_at: datetime
    ends_at: datetime
    seat: str
    reason: str
    by: str
    files: dict[str, str]
    records: list[int]
