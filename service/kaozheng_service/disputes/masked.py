"""A copy for watching in which only one seat is left to see. Derived, without sound, and never evidence."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from kaozheng_service.disputes.caption import draw_caption
from kaozheng_service.disputes.mask import Mask
from kaozheng_service.disputes.playable import parts_list
from kaozheng_service.errors import ServiceError
from kaozheng_service.ffmpeg import masked_command

LABEL = "派生、遮挡副本，不是证据 / derived and masked, not evidence"
_LABEL_PX = 36
# What an encoder leaves under a mask, of 255, measured at crf 23 on rendered exam rooms: 58 on its edge, 18 one pixel
# inside, 4 at four, 2 at eight. Uncovered, a picture's brightest point is far above.
_INSIDE_PX = 8
_BLACKEST = 24


def masked_copy(
    files: Sequence[Path],
    target: Path,
    mask: Mask,
    *,
    title: str,
    what: str,
    lengths_s: Mapping[Path, float] | None = None,
) -> None:
    """Write ``target``, an MP4 of ``files`` with everything hidden that ``mask`` hides, and look whether it is.

    Parameters
    ----------
    what : camera and seat, for the strip below the picture
    lengths_s : as of ``playable_copy``

    Raises
    ------
    ServiceError : it cannot be made, or what was made shows something under the mask; then there is no ``target``
    """
    height, width = mask.hidden.shape
    try:
        with (
            tempfile.TemporaryDirectory(prefix="kaozheng-mask-") as folder,
            parts_list(target, files, lengths_s or {}) as parts,
        ):
            cover, label = Path(folder, "mask.png"), Path(folder, "label.png")
            picture = np.zeros((height, width, 4), np.uint8)
            picture[mask.hidden, 3] = 255
            cover.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            draw_caption(
                label, [f"{LABEL}　{what}"], width_px=width, height_px=_LABEL_PX, size_px=_letters(width)
            )
            command = masked_command(parts, cover, label, target, label_px=_LABEL_PX, title=title)
            run = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
            )
        if run.returncode != 0 or not target.is_file():
            reason = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
            raise ServiceError(f"{target.name}: the masked copy cannot be made: {reason}")
        _refuse_uncovered(target, mask)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _letters(width: int) -> float:
    """The strip's letters, px: the sentence is some 60 letters long, half of them half as wide."""
    return min(20.0, width / 52)


def _refuse_uncovered(target: Path, mask: Mask) -> None:
    """Every keyframe of the copy is looked at: an unmasked copy that nobody noticed would be the worst outcome."""
    kernel = np.ones((2 * _INSIDE_PX + 1, 2 * _INSIDE_PX + 1), np.uint8)
    # Beyond the border lies nothing that could ring into the picture.
    inside = (
        cv2.erode(mask.hidden.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    )
    height, width = mask.hidden.shape
    looked = 0
    with av.open(str(target)) as container:
        container.streams.video[0].codec_context.skip_frame = "NONKEY"
        for frame in container.decode(video=0):
            grey = frame.to_ndarray(format="gray")[:height, :width]
            looked += 1
            if inside.any() and int(grey[inside].max()) > _BLACKEST:
                raise ServiceError(f"{target.name}: something shows under the mask; the copy was thrown away")
    if not looked:
        raise ServiceError(f"{target.name}: the masked copy holds no picture")
