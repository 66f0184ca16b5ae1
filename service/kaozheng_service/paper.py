"""Sheets of paper: typst templates and the pieces they share, made to PDF without fonts or clock of the machine."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import manimgx_fonts_cjk
import segno
import typst

FONTS = Path(manimgx_fonts_cjk.__file__).parent
_SHARED = Path(__file__).with_name("paper.typ")


def print_sheet(
    template: Path,
    out: Path,
    data: Mapping[str, Any],
    *,
    at: datetime,
    checkpoint: str,
    texts: Mapping[str, str] | None = None,
    files: Mapping[str, Path] | None = None,
) -> None:
    """Make the PDF file ``out`` of a typst template. The same input gives the same bytes.

    Parameters
    ----------
    data : becomes ``data.json`` beside the template
    at : the time that the PDF says it was made at
    checkpoint : becomes the QR code ``checkpoint.svg``
    texts, files : more files beside the template, by name
    """
    with tempfile.TemporaryDirectory(prefix="kaozheng-sheet-") as folder:
        desk = Path(folder)
        shutil.copyfile(_SHARED, desk / _SHARED.name)
        shutil.copyfile(template, desk / template.name)
        (desk / "checkpoint.svg").write_bytes(qr_code(checkpoint))
        (desk / "data.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        for name, text in (texts or {}).items():
            (desk / name).write_text(text, encoding="utf-8")
        for name, path in (files or {}).items():
            shutil.copyfile(path, desk / name)
        typst.compile(
            str(desk / template.name),
            output=str(out),
            root=str(desk),
            font_paths=[str(FONTS)],
            ignore_system_fonts=True,
            timestamp=int(at.timestamp()),
        )


def short_hash(checkpoint: str) -> str:
    """The first 16 hexadecimal digits of a checkpoint's SHA-256, in groups of four, to be compared by eye."""
    digits = hashlib.sha256(checkpoint.encode()).hexdigest()[:16]
    return " ".join(digits[start : start + 4] for start in range(0, 16, 4))


def qr_code(text: str) -> bytes:
    """An SVG. Error level M: a folded or stained sheet still reads."""
    buffer = io.BytesIO()
    segno.make(text, error="m").save(buffer, kind="svg", border=2, xmldecl=False)
    return buffer.getvalue()
