"""A damaged file is put aside and the good one of the other copy takes its place; both ways, and on record.

In this order, each step durable before the next: the damage is signed, the good copy lies beside the damaged file,
written, synced and read back, the damaged file has its second name in ``quarantine/``, the good one is renamed, the
repair is signed. A crash at any moment leaves a file under its name, and the damaged bytes somewhere.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import structlog

from kaozheng_service.clock import now
from kaozheng_service.disputes.standalone.records import parse_record
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.evidence.records import FileDamaged, FileRepaired
from kaozheng_service.recording.durable import sync_folder
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.second.copying import draft_verified, make_folder
from kaozheng_service.second.target import Target, target_of
from kaozheng_service.station import Station
from kaozheng_service.verification.archive import Mend
from kaozheng_service.verification.damage import FIRST, SECOND, Damage, DamageList
from kaozheng_service.verification.looking import MISSING, Footage, Look, look
from kaozheng_service.verification.pace import Pace

logger = structlog.get_logger()

QUARANTINE = "quarantine"


def repairer(station: Station) -> Mend:
    """For ``verify --repair``: mends files of the first copy. Raises UserError where no second copy is there."""
    target = target_of(station.site)
    if trouble := target.trouble():
        raise UserError(f"--repair: {trouble}")
    repair = Repair(station, target, Pace())
    return lambda one: repair.mend(one, FIRST)


class Repair:
    """Called from one thread; another process may repair the same site, one file after the other.

    Parameters
    ----------
    target : None where the site has no second copy: damage is signed and listed all the same
    """

    def __init__(self, station: Station, target: Target | None, pace: Pace) -> None:
        self._station = station
        self._target = target
        self._pace = pace
        self.list = DamageList(station.state)
        self.failure = (
            ""  # why the last repair did not come to its end, "" where there was nothing to copy from
        )

    def mend(self, one: Look, copy: str) -> bool:
        """Sign that the file is damaged, and repair it; whether it is as it was signed now."""
        folder = self._folder(copy)
        file = folder / one.footage.path
        if one.fault == MISSING and not file.parent.is_dir():
            # A whole folder that is gone is a disk that is gone, or a hand: nothing is written where it was mounted.
            self.failure = f"{file.parent}: the whole folder is missing; is its disk mounted?"
            return False
        with self.list.alone():
            damage = self.list.find(copy, one.footage.path) or self._sign_damage(one, copy)
            return self._repair(damage, one.footage)

    def again(self) -> int:
        """Look at all that is damaged once more, and repair what can be by now; how many files are right again."""
        mended = 0
        with self.list.alone():
            for damage in self.list.all():
                if damage.copy == SECOND and (self._target is None or self._target.trouble()):
                    continue
                mended += self._repair(damage, self._footage(damage))
        return mended

    def _repair(self, damage: Damage, footage: Footage) -> bool:
        self.failure = ""
        folder, other = self._folder(damage.copy), self._other(damage.copy)
        file = folder / damage.path
        if not look(footage, file, pace=self._pace).fault:
            # We had come so far before a crash, or other hands put it there.
            begun = bool(damage.aside) and (folder / damage.aside).exists()
            self._sign_repair(damage, footage, source=_other_name(damage.copy) if begun else "")
            return True
        if other is None or look(footage, other / damage.path, pace=self._pace).fault:
            return False
        try:
            part = draft_verified(other / damage.path, file, footage.sha256)
            damage = self._put_aside(damage, folder)
            part.replace(file)
            sync_folder(file.parent)
        except (OSError, ServiceError) as error:
            why = f"{error.filename or file}: {error.strerror}" if isinstance(error, OSError) else str(error)
            self.failure = why
            logger.error("a damaged file could not be repaired", path=damage.path, copy=damage.copy, why=why)
            return False
        self._sign_repair(damage, footage, source=_other_name(damage.copy))
        logger.warning("a damaged file was repaired", path=damage.path, copy=damage.copy, aside=damage.aside)
        return True

    def _put_aside(self, damage: Damage, folder: Path) -> Damage:
        """Give the damaged file its name in quarantine; it keeps the other until the good one takes that."""
        file = folder / damage.path
        if not os.path.lexists(file):
            return damage
        aside = folder / QUARANTINE / f"{damage.path}.{now():%Y%m%dT%H%M%S%f}Z"
        make_folder(aside.parent)
        damage = replace(damage, aside=aside.relative_to(folder).as_posix())
        self.list.put(damage)
        try:
            os.link(file, aside, follow_symlinks=False)
        except OSError:  # a file system without hard links
            file.rename(aside)
        sync_folder(aside.parent)
        return damage

    def _sign_damage(self, one: Look, copy: str) -> Damage:
        footage = one.footage
        record = FileDamaged(
            at=now(),
            segment=footage.index,
            **_names(footage),
            path=footage.path,
            copy=copy,
            fault=one.fault,
            sha256=footage.sha256,
            found=one.sha256,
        )
        damage = Damage(self._station.log.append(record), footage.index, copy, footage.path, one.fault)
        self.list.put(damage)
        logger.error("a file is not as it was signed", path=footage.path, copy=copy, fault=one.fault)
        return damage

    def _sign_repair(self, damage: Damage, footage: Footage, *, source: str) -> None:
        record = FileRepaired(
            at=now(),
            damaged=damage.damaged,
            **_names(footage),
            path=footage.path,
            copy=damage.copy,
            source=source,
            sha256=footage.sha256,
            aside=damage.aside,
        )
        append_once(self._station.log, record, in_doubt=True)
        self.list.remove(damage)

    def _footage(self, damage: Damage) -> Footage:
        return Footage.of(parse_record(damage.segment, self._station.log.entry(damage.segment)))

    def _folder(self, copy: str) -> Path:
        if copy == FIRST:
            return self._station.archive
        if self._target is None:
            raise ServiceError("the site has no second copy; name one under storage in the site file")
        return self._target.footage

    def _other(self, copy: str) -> Path | None:
        """Where a good file may be; None where the second copy is not there."""
        if copy == SECOND:
            return self._station.archive
        return self._target.footage if self._target is not None and not self._target.trouble() else None


def _names(footage: Footage) -> dict[str, str]:
    return {
        "take": footage.take,
        "window": footage.window,
        "room": footage.room,
        "camera": footage.camera,
    }


def _other_name(copy: str) -> str:
    return SECOND if copy == FIRST else FIRST
