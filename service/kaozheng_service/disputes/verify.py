"""Is an export, or the whole archive, as it was signed? The checks are those of the verifier in every bag."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kaozheng_service.disputes.standalone.files import Progress
from kaozheng_service.disputes.standalone.findings import BadInputError, Finding, Report
from kaozheng_service.disputes.standalone.verify import check_bag, report_json, report_words
from kaozheng_service.disputes.verify_archive import verify_archive
from kaozheng_service.errors import UserError

__all__ = ["Finding", "Report", "report_json", "report_words", "verify_archive", "verify_bag"]


def verify_bag(
    path: Path,
    trusted_key: str | None = None,
    progress: Progress | None = None,
    printed: Sequence[str] = (),
) -> Report:
    """Check an exported bag, offline.

    Parameters
    ----------
    trusted_key : the site's public key as known from elsewhere: PEM, ``name+hash+base64``, or a file of either.
        Without it the report says which key it took from the bag.
    progress : called with bytes read, of all
    printed : checkpoints that left the site on paper, as text; the export's log must go on from each

    Raises
    ------
    UserError : no export there, ``trusted_key`` is not a key, or ``printed`` not a checkpoint
    """
    try:
        return check_bag(path, trusted_key, progress, printed)
    except BadInputError as error:
        raise UserError(str(error)) from None
