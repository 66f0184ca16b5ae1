"""What a complainant may take home: the masked copies of an export alone, saying plainly that they prove nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kaozheng_service.disputes.bag import seal_bag
from kaozheng_service.disputes.byhand import BY_HAND, by_hand_text
from kaozheng_service.disputes.report import Claim, ViewingCopy, template_environment
from kaozheng_service.disputes.selection import Selection
from kaozheng_service.disputes.standalone.records import RECORDS
from kaozheng_service.disputes.standalone.signature import CHECKPOINT, KEY
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.note import verifier_key
from kaozheng_service.station import Station

REPORT = "data/masked-report.html"


def masked_bag(
    station: Station,
    claim: Claim,
    selection: Selection,
    copies: Sequence[ViewingCopy],
    export: Path,
    out: Path,
) -> None:
    """Make the bag ``out`` of the masked copies in the finished bag ``export``, with the record that names them.

    Raises
    ------
    UserError : ``out`` exists; it is never written over
    """
    masked = [copy for copy in copies if copy.kind == "masked"]
    files = [name for copy in masked for name in (copy.path, copy.subtitles) if name]
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    try:
        for name in (*files, KEY, CHECKPOINT):
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(export / name, draft / name)
        own = (export / RECORDS).read_text(encoding="utf-8").splitlines()[-1]
        texts = {
            RECORDS: f"{own}\n",
            "README.txt": _text(station, claim, selection, masked, "masked-readme.txt"),
            REPORT: _text(station, claim, selection, masked, "masked-report.html"),
            BY_HAND: by_hand_text(station, claim, (), files),
        }
        for name, text in texts.items():
            (draft / name).write_text(text, encoding="utf-8", newline="\n")
        info = [
            ("Source-Organization", station.site.name),
            ("External-Identifier", f"{claim.id}-masked"),
            ("Bag-Group-Identifier", claim.id),
            ("External-Description", "遮挡的派生副本，不含原始录像 / masked derived copies, no originals"),
        ]
        seal_bag(draft, {}, info)
        draft.chmod(0o755)
        if out.exists():
            raise UserError(f"{out} appeared meanwhile; name another folder")
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _text(
    station: Station, claim: Claim, selection: Selection, copies: Sequence[ViewingCopy], template: str
) -> str:
    return (
        template_environment(station.site.zone)
        .get_template(template)
        .render(
            site=station.site,
            room=station.site.room(claim.room_id),
            claim=claim,
            copies=copies,
            gaps=[gap for gap in selection.of_kind("gap") if gap.meets(claim.span)],
            key=verifier_key(station.log.origin, station.log.public_key),
        )
    )
