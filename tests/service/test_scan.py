"""A sheet's QR code read back as people bring it: photographed at an angle, in shadow, scanned coarsely, as a PDF."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import segno
from kaozheng_service.cli import app
from kaozheng_service.errors import UserError
from kaozheng_service.sessions.printing import print_window
from kaozheng_service.sessions.scan import read_checkpoint, read_scan
from typer.testing import CliRunner

Picture = np.ndarray


def page_of(pdf: Path, folder: Path, dpi: int) -> Picture:
    """The sheet's last page, grey."""
    subprocess.run(["pdftoppm", "-r", str(dpi), "-gray", "-png", pdf, folder / f"p{dpi}"], check=True)
    return cv2.imread(str(sorted(folder.glob(f"p{dpi}*.png"))[-1]), cv2.IMREAD_GRAYSCALE)


def photographed(page: Picture, skew: float, turn_deg: float) -> Picture:
    """On a dark desk, at an angle: the page's far edge is shorter by ``skew``, and all of it turned."""
    height, width = page.shape
    table = np.full((int(height * 1.5), int(width * 1.5)), 70, np.uint8)
    inset = skew * width / 2
    corners = np.float32([[inset, 0], [width - inset, height * skew / 2], [width, height], [0, height]])
    corners += np.float32([width * 0.25, height * 0.25])
    sheet = cv2.getPerspectiveTransform(
        np.float32([[0, 0], [width, 0], [width, height], [0, height]]), corners
    )
    whole = cv2.warpPerspective(
        page, sheet, table.shape[::-1], table.copy(), borderMode=cv2.BORDER_TRANSPARENT
    )
    spin = cv2.getRotationMatrix2D((table.shape[1] / 2, table.shape[0] / 2), turn_deg, 1.0)
    return cv2.warpAffine(whole, spin, table.shape[::-1], borderValue=70)


def shadowed(picture: Picture, darkest: float) -> Picture:
    """A hand's shadow over one side, and light that falls off to the other."""
    height, width = picture.shape
    across = np.linspace(1.0, darkest, width)[None, :] * np.linspace(0.8, 1.0, height)[:, None]
    across[:, width // 3 : width // 2] *= 0.75
    return np.clip(picture * across, 0, 255).astype(np.uint8)


def noisy(picture: Picture, sigma: float, seed: int = 7) -> Picture:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def jpeg(picture: Picture, path: Path, quality: int) -> Path:
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


WAYS: dict[str, tuple[int, Callable[[Picture], Picture], int]] = {
    "scanned at 150 dpi, a little crooked": (150, lambda page: noisy(photographed(page, 0.0, 2.0), 4), 80),
    "photographed at an angle": (250, lambda page: noisy(photographed(page, 0.12, -7.0), 5), 75),
    "upside down": (200, lambda page: noisy(photographed(page, 0.03, 181.0), 3), 85),
    "in shadow": (250, lambda page: noisy(shadowed(photographed(page, 0.06, 4.0), 0.35), 5), 75),
    "out of focus": (250, lambda page: cv2.GaussianBlur(photographed(page, 0.04, 3.0), (0, 0), 2.0), 80),
    "a poor copy": (150, lambda page: noisy(cv2.GaussianBlur(page, (0, 0), 0.8) // 2 + 90, 8), 60),
}


@pytest.fixture
def sheet(disputed: Any, tmp_path: Path, need: Callable[[bool, str], None]) -> tuple[Path, str]:
    """A real session sheet, and the checkpoint on it."""
    need(shutil.which("pdftoppm") is not None, "pdftoppm; on Debian: apt install poppler-utils")
    expected = disputed.station.log.checkpoint()
    return print_window(disputed.station, disputed.window, tmp_path / "sheet.pdf").path, expected


@pytest.mark.parametrize("way", WAYS)
def test_the_code_is_read_from(way: str, sheet: tuple[Path, str], tmp_path: Path) -> None:
    pdf, expected = sheet
    dpi, spoil, quality = WAYS[way]
    assert read_scan(jpeg(spoil(page_of(pdf, tmp_path, dpi)), tmp_path / "photo.jpg", quality)) == expected


def test_the_pdf_itself_is_read(sheet: tuple[Path, str], disputed: Any) -> None:
    pdf, expected = sheet
    assert read_scan(pdf) == read_checkpoint(pdf) == expected
    site = str(disputed.station.site.folder / "site.yaml")
    done = CliRunner().invoke(app, ["checkpoint", "--scan", str(pdf), "-c", site, "--json"])
    assert (done.exit_code, json.loads(done.stdout)["holds"]) == (0, True)


def test_a_pdf_where_nothing_draws_it_is_refused_with_the_mend(
    sheet: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"needs pdftoppm .* or give a picture of the page"):
        read_scan(sheet[0])


def test_what_cannot_be_read_is_said_with_the_mend(tmp_path: Path) -> None:
    blank = jpeg(np.full((800, 600), 240, np.uint8), tmp_path / "blank.jpg", 90)
    with pytest.raises(UserError, match="photograph the square alone, upright"):
        read_scan(blank)
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    with pytest.raises(UserError, match=r"needs pdftoppm|no PDF that can be drawn"):
        read_scan(tmp_path / "broken.pdf")
    (tmp_path / "text.txt").write_text("kaozheng/demo", encoding="utf-8")
    with pytest.raises(UserError, match="neither a picture nor a PDF"):
        read_scan(tmp_path / "text.txt")
    (tmp_path / "bytes").write_bytes(os.urandom(50) + b"\xff\xfe")
    with pytest.raises(UserError, match="neither text nor a picture"):
        read_checkpoint(tmp_path / "bytes")


def test_another_code_is_told_as_another_code(tmp_path: Path) -> None:
    segno.make("https://example.org/menu").save(str(tmp_path / "menu.png"), scale=8)
    with pytest.raises(UserError, match=r"is no checkpoint of a log but 'https://example.org/menu'"):
        read_scan(tmp_path / "menu.png")
