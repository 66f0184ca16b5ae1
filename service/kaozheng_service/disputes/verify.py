"""Is an export, or the whole archive, as it was signed? The checks are those of the verifier in every bag."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rfc3161_client import VerificationError

from kaozheng_service.disputes.byhand import BY_HAND
from kaozheng_service.disputes.masked_bag import REPORT as MASKED_REPORT
from kaozheng_service.disputes.standalone.anchors import PLACE
from kaozheng_service.disputes.standalone.files import Progress
from kaozheng_service.disputes.standalone.findings import BadInputError, Finding, Findings, Report
from kaozheng_service.disputes.standalone.records import Record
from kaozheng_service.disputes.standalone.verify import check_bag, report_json, report_words
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.anchors.stamping import stamp_time
from kaozheng_service.verification.archive import verify_archive

__all__ = ["Finding", "Report", "report_json", "report_words", "verify_archive", "verify_bag"]


def verify_bag(
    path: Path,
    trusted_key: str | None = None,
    progress: Progress | None = None,
    *,
    printed: Sequence[str] = (),
    witnesses: Sequence[str] = (),
    tsa_ca: Path | None = None,
) -> Report:
    """Check an exported bag, offline.

    Parameters
    ----------
    trusted_key : the site's public key as known from elsewhere: PEM, ``name+hash+base64``, or a file of either.
        Without it the report says which key it took from the bag.
    progress : called with bytes read, of all
    printed : checkpoints that left the site on paper, as text; the export's log must go on from each
    witnesses : printed keys of witnesses, as known from elsewhere
    tsa_ca : PEM file of the authority that time stamps must lead to

    Raises
    ------
    UserError : no export there, masked copies alone, ``trusted_key`` or one of ``witnesses`` is not a key, one of
        ``printed`` not a checkpoint, or ``tsa_ca`` no certificate
    """
    if (path / MASKED_REPORT).is_file():
        raise UserError(
            f"{path}: 只有遮挡副本，单独不能证明任何事 / masked copies alone, which prove nothing by themselves: "
            f"verify the export that its README.txt names, and hold these files against it with {BY_HAND}"
        )

    def check_stamps(records: list[Record], found: Findings) -> None:
        for record in records:
            if record.kind == "anchor.stamped" and tsa_ca is not None:
                _check_stamp(path, record, tsa_ca, found)

    try:
        return check_bag(
            path, trusted_key, progress, printed=printed, witnesses=witnesses, check_more=check_stamps
        )
    except BadInputError as error:
        raise UserError(str(error)) from None


def _check_stamp(bag: Path, record: Record, tsa_ca: Path, found: Findings) -> None:
    folder = bag / PLACE / Path(record["folder"]).name
    name = f"{PLACE}{folder.name}/token.tsr"
    try:
        at = stamp_time((folder / "token.tsr").read_bytes(), (folder / "checkpoint").read_bytes(), tsa_ca)
    except OSError:
        return  # named already: check_anchors reads the same files
    except VerificationError as error:
        found.add("stamp_bad", name, why=error)
        return
    found.drop("stamp_unchecked", name)
    found.add("stamped", name, size=record["size"], tsa=record["tsa"], at=f"{at:%Y-%m-%d %H:%M:%S} UTC")
