"""Clips and footage that the tests of the vision package share."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import cast

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.stream import VideoStream

Frame = npt.NDArray[np.uint8]

REAL_MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media"


@pytest.fixture
def real_media(need: Callable[[bool, str], None]) -> Path:
    need(REAL_MEDIA.is_dir(), "the real footage in ../shared/media")
    return REAL_MEDIA


@pytest.fixture(scope="session")
def loopback() -> ModuleType:
    """The module ``tests/vision/loopback.py``: servers that answer as a test says."""
    spec = importlib.util.spec_from_file_location("loopback", Path(__file__).with_name("loopback.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["loopback"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def write_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``write_clip(name, seconds=, fps=, gop_s=, size=, codec=)``: a moving picture as an MP4 file."""
    folder = tmp_path_factory.mktemp("clips")

    def write(
        name: str,
        *,
        seconds: float = 4,
        fps: int = 20,
        gop_s: float = 1.0,
        size: tuple[int, int] = (320, 180),
        codec: str = "libx264",
    ) -> Path:
        path = folder / name
        with av.open(path, "w") as container:
            stream = cast(VideoStream, container.add_stream(codec, rate=Fraction(fps)))
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.gop_size = round(gop_s * fps)
            stream.options = {"preset": "ultrafast", "x265-params": "log-level=none"}
            for picture in _moving(size, round(seconds * fps)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            container.mux(stream.encode(None))
        return path

    return write


def _moving(size: tuple[int, int], count: int) -> Iterable[Frame]:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    for index in range(count):
        yield np.roll(noise, index * 3, axis=1)
