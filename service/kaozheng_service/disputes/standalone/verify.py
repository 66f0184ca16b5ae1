"""Check a folder that kaozheng exported: nothing changed, nothing missing, nothing out of order.

    python3 -I verify.py [FOLDER] [--checkpoint PRINTED] [--key KEY] [--witness KEY] [--json]

Needs Python 3.9 or newer and nothing else. It reads only, and asks nobody. FOLDER is this file's own when left out.
PRINTED is the text of the QR code on a printed sheet, or a file that holds it: the log must go on from what was
printed. KEY is the site's public key as you know it from elsewhere. Without either this proves that the export is as
its key signed it, not whose key that is. Exit code: 0 intact, 1 altered or cannot be judged, 2 bad input.
The same steps by hand, with openssl and sha256sum, stand in data/by-hand.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kaozheng_service.disputes.standalone.anchors import check_anchors
from kaozheng_service.disputes.standalone.backfilled import check_backfilled, healed_within
from kaozheng_service.disputes.standalone.completeness import BACKFILLED, RECORDED, check_claim, gaps_within
from kaozheng_service.disputes.standalone.cosignatures import COSIGNATURE
from kaozheng_service.disputes.standalone.files import (
    BAG_INFO,
    MANIFEST,
    TAG_MANIFEST,
    Progress,
    check_manifests,
    hash_files,
    read_text,
)
from kaozheng_service.disputes.standalone.findings import (
    ALTERED,
    CANNOT_JUDGE,
    NOTE,
    BadInputError,
    Findings,
    Report,
    on_one_line,
)
from kaozheng_service.disputes.standalone.key_changes import check_key
from kaozheng_service.disputes.standalone.parts import check_parts
from kaozheng_service.disputes.standalone.printed import check_printed, read_printed
from kaozheng_service.disputes.standalone.records import Record, read_records
from kaozheng_service.disputes.standalone.signature import KEY, check_signature, key_of_printed, read_key

SCHEMA = "kaozheng/verify/1"


def check_bag(
    folder: Path,
    trusted_key: str | None = None,
    progress: Progress | None = None,
    *,
    printed: Sequence[str] = (),
    witnesses: Sequence[str] = (),
    check_more: Callable[[list[Record], Findings], None] | None = None,
) -> Report:
    """Check the bag in ``folder``: against the signed log first, then against its own manifests.

    Parameters
    ----------
    printed : checkpoints that left the site on paper, each as text or as a file that holds it
    witnesses : printed keys of witnesses, as known from elsewhere: each must have cosigned a head of the log
    check_more : what takes more than Python to check; it may add findings

    Raises
    ------
    BadInputError : no such folder, no export in it, ``trusted_key`` or one of ``witnesses`` is not a key, or one of
        ``printed`` not a checkpoint
    """
    for key in witnesses:
        if key_of_printed(key, COSIGNATURE) is None:
            raise BadInputError(
                f"{key[:80]!r}: 不是见证方公钥 / not a witness's key; give it as printed, name+hash+base64"
            )
    papers = [read_printed(text) for text in printed]
    expected = read_key(trusted_key) if trusted_key is not None else None
    if not any((folder / name).exists() for name in (MANIFEST, TAG_MANIFEST, "data")):
        raise BadInputError(
            f"{folder}: 这里没有导出的文件 / there is no export here; name the folder that holds {MANIFEST}"
        )
    found = Findings()
    hashes, size = hash_files(folder, found, progress)
    head = check_signature(folder, found)
    records = read_records(folder, head, found) if head is not None else []
    if head is not None:
        if expected is None:
            found.add("key_from_bag", KEY, key=head.key)
        keys = check_key(records, head, expected, found)
        earlier = check_printed(folder, papers, head, keys, found)
        check_anchors(folder, records, head, keys, witnesses, earlier, found)
        if check_more is not None:
            check_more(records, found)
    claim = check_claim(records, hashes, found) if head is not None else None
    parts = 0
    if claim is not None:
        parts = check_parts(folder, records, claim, hashes, found)
        check_backfilled(records, found)
        _check_bag_info(folder, claim, found)
    check_manifests(folder, hashes, found)
    return Report(
        outcome=found.outcome(),
        findings=found.ranked(),
        claim=claim.body if claim is not None else {},
        gaps=tuple(gap.body for gap in gaps_within(records, claim)) if claim is not None else (),
        healed=tuple(healed_within(records, claim)) if claim is not None else (),
        files=len(hashes),
        bytes=size,
        segments=sum(path.startswith(RECORDED) for path in hashes),
        parts=parts,
        backfilled=sum(path.startswith(BACKFILLED) for path in hashes),
        records=len(records),
        log=head.log if head is not None else "",
        log_size=head.size if head is not None else 0,
        key=head.key if head is not None else "",
    )


def report_json(report: Report) -> dict[str, Any]:
    """The report as versioned JSON."""
    return {"schema": SCHEMA, **asdict(report)}


def report_words(report: Report) -> str:
    """The report for people, Chinese first."""
    claim = report.claim
    lines = []
    if claim:
        lines.append(f"考场 room: {claim['room']}    摄像机 cameras: {', '.join(claim['cameras'])}")
        lines.append(f"时段 range: {claim['starts_at']} – {claim['ends_at']} (UTC)")
    lines.append(
        f"片段 segments: {report.segments}    文件 files: {report.files}, {report.bytes / 1e6:.1f} MB"
    )
    if report.parts:
        lines.append(f"其中只截取一部分的片段 segments cut to the range: {report.parts}")
    lines.append(f"签名记录 signed records: {report.records}    日志 log: {report.log}, {report.log_size}")
    for gap in report.gaps:
        lines.append(f"缺口 gap: {gap['camera']} {gap['starts_at']} – {gap['ends_at']} {gap['cause']}")
    if report.backfilled:
        lines.append(f"补录片段 backfilled segments, never recorded by us: {report.backfilled}")
    for part in report.healed:
        known = f"来自 from {part.get('source')}, ±{part.get('uncertainty_s')} s"
        lines.append(f"补录 backfilled: {part['camera']} {part['starts_at']} – {part['ends_at']} {known}")
    signs = {ALTERED: "✗", CANNOT_JUDGE: "?", NOTE: "·"}
    lines += [f"{signs[finding.severity]} {finding.message}" for finding in report.findings]
    verdicts = {
        "intact": "✓ 完好：与签名的记录一致，没有改动、缺失或调换 / INTACT",
        ALTERED: "✗ 不完好：见以上各项 / ALTERED",
        CANNOT_JUDGE: "? 无法判断：见以上各项 / CANNOT JUDGE",
    }
    return "\n".join(map(on_one_line, [*lines, verdicts[report.outcome]]))


def _check_bag_info(folder: Path, claim: Record, found: Findings) -> None:
    text = read_text(folder, BAG_INFO, found)
    if text is not None and f"External-Identifier: {claim['export']}" not in text.split("\n"):
        found.add("bag_info", BAG_INFO)


def main(arguments: list[str] | None = None) -> int:
    """Run as a program; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Windows consoles in another code page would stop at the first Chinese character.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument(
        "--key", help="the site's public key as you know it: its PEM file, or as it is printed"
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        help="the text of a printed QR code, or a file that holds it; may be given again",
    )
    parser.add_argument(
        "--witness", action="append", default=[], help="a witness's key, as printed; may be given again"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs instead of words")
    options = parser.parse_args(arguments)
    try:
        report = check_bag(options.folder, options.key, printed=options.checkpoint, witnesses=options.witness)
    except BadInputError as error:
        print(error, file=sys.stderr)
        return 2
    words = (
        json.dumps(report_json(report), ensure_ascii=False, indent=2)
        if options.json
        else report_words(report)
    )
    print(words)
    return 0 if report.outcome == "intact" else 1


if __name__ == "__main__":
    sys.exit(main())
