"""`kaozheng coverage --pictures`: every picture as SVG and PNG."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from kaozheng_service.cli.commands import app
from typer.testing import CliRunner

PROJECT = Path(__file__).resolve().parents[2]


def test_the_pictures_of_a_room_are_written_as_svg_and_png(tmp_path: Path) -> None:
    site = PROJECT / "configs" / "demo" / "site.yaml"
    told = CliRunner().invoke(
        app, ["coverage", "9-101", "--config", str(site), "--draws", "0", "--pictures", str(tmp_path / "out")]
    )
    assert told.exit_code == 1, told.output  # the demo room has seats that fail
    names = {path.name for path in (tmp_path / "out").iterdir()}
    stems = {"plan", "density", "blind-spots", "view-front-left", "view-back-right"}
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    for stem in stems:
        picture = cv2.imread(str(tmp_path / "out" / f"{stem}.png"))
        assert picture is not None
        assert picture.shape[1] > 1300
        # Neither empty nor one colour: something is drawn, on white.
        assert 0.001 < float((picture.min(axis=2) < 128).mean()) < 0.9
        assert (np.asarray(picture[-1, -1]) == 255).all()
