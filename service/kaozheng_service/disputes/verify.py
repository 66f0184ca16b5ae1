"""Is an export, or the whole archive, as it was signed? The checks are those of the verifier in every bag."""

from __future__ import annotations

from pathlib import Path

from kaozheng_service.disputes.byhand import BY_HAND
from kaozheng_service.disputes.masked_bag import REPORT as MASKED_REPORT
from kaozheng_service.disputes.standalone.files import Progress
from kaozheng_service.disputes.standalone.findings import BadInputError, Finding, Report
from kaozheng_service.disputes.standalone.verify import check_bag, report_json, report_words
from kaozheng_service.errors import UserError
from kaozheng_service.verification.archive import verify_archive

__all__ = ["Finding", "Report", "report_json", "report_words", "verify_archive", "verify_bag"]


def verify_bag(path: Path, trusted_key: str | None = None, progress: Progress | None = None) -> Report:
    """Check an exported bag, offline.

    Parameters
    ----------
    trusted_key : the site's public key as known from elsewhere: PEM, ``name+hash+base64``, or a file of either.
        Without it the report says which key it took from the bag.
    progress : called with bytes read, of all

    Raises
    ------
    UserError : no export there, masked copies alone, or ``trusted_key`` is not a key
    """
    if (path / MASKED_REPORT).is_file():
        raise UserError(
            f"{path}: 只有遮挡副本，单独不能证明任何事 / masked copies alone, which prove nothing by themselves: "
            f"verify the export that its README.txt names, and hold these files against it with {BY_HAND}"
        )
    try:
        return check_bag(path, trusted_key, progress)
    except BadInputError as error:
        raise UserError(str(error)) from None
