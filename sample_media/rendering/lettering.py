"""Signs, banners, posters, screens and desk cards: pictures with Chinese lettering, set by typst."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import manimgx_fonts_cjk
import numpy as np
import numpy.typing as npt
import typst

Picture = npt.NDArray[np.uint8]

_FONTS = [str(Path(manimgx_fonts_cjk.__file__).parent)]
# OpenCV's dictionary of the 36h11 family that the product's desk cards carry.
_TAGS = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)


@functools.cache
def banner(text: str) -> Picture:
    """White characters on red cloth, 12 by 1."""
    return _page(
        f'#set page(width: 360pt, height: 30pt, margin: 0pt, fill: rgb("#c4161c"))\n'
        f'#align(center + horizon, text(size: 19pt, weight: "bold", fill: white, tracking: 4pt)[{text}])'
    )


@functools.cache
def blackboard(room: str) -> Picture:
    """The green board with what invigilators write on it, 4 by 1.2."""
    return _page(
        f"""#set page(width: 400pt, height: 120pt, margin: 10pt, fill: rgb("#1f4d3d"))
#set text(fill: rgb("#e9efe6"), size: 11pt)
#align(center, text(size: 17pt, weight: "bold")[第一考场 · {room}])
#grid(columns: (1fr, 1fr), gutter: 10pt,
  [科目：理论知识考试 \\ 时间：09:00—11:00 \\ 应到：30 人], [一、对号入座，核对桌签 \\ 二、手机关机，集中存放 \\ 三、启封前请勿操作计算机])"""
    )


@functools.cache
def poster(title: str) -> Picture:
    """A rules display on a wall, 3 by 4."""
    lines = "\n".join(
        f"+ {rule}"
        for rule in (
            "考生凭准考证、身份证入场",
            "对号入座，证件置于桌面左上角",
            "不得携带通讯工具",
            "迟到三十分钟不得入场",
            "保持安静，服从监考",
        )
    )
    return _page(
        f'#set page(width: 150pt, height: 200pt, margin: 12pt, fill: rgb("#f6f3e8"))\n'
        f'#set text(size: 9pt)\n#align(center, text(size: 20pt, weight: "bold", fill: rgb("#b3161c"))[{title}])\n'
        f"#set enum(spacing: 12pt)\n{lines}"
    )


@functools.cache
def sign(text: str) -> Picture:
    """A small blue plate, 3 by 1."""
    return _page(
        f'#set page(width: 90pt, height: 30pt, margin: 0pt, fill: rgb("#1d4f91"))\n'
        f'#align(center + horizon, text(size: 15pt, fill: white, weight: "bold")[{text}])'
    )


@functools.cache
def screen(number: str, page: int) -> Picture:
    """An exam client on a monitor, 16 by 10."""
    options = "\n".join(
        f"#box(circle(radius: 3pt, stroke: 0.6pt)) {letter}. " + "选项内容" * (2 + (page + at) % 4) + " \\\\ "
        for at, letter in enumerate("ABCD")
    )
    return _page(
        f"""#set page(width: 240pt, height: 150pt, margin: 0pt, fill: rgb("#eef3fa"))
#set text(size: 8pt)
#block(width: 100%, height: 18pt, fill: rgb("#1f5fae"), inset: 5pt, text(fill: white, weight: "bold")[理论知识考试 #h(1fr) 座位 {number} #h(10pt) 01:{42 - page:02d}:16])
#grid(columns: (60pt, 1fr), block(fill: white, height: 122pt, width: 54pt, inset: 5pt, grid(columns: 4, gutter: 4pt, ..range(28).map(i => box(width: 8pt, height: 8pt, fill: if i < {6 + page * 2} {{ rgb("#5aa469") }} else {{ rgb("#cfd8e3") }})))),
block(inset: 6pt, width: 100%)[*{page + 7}.* 下列关于网络安全管理的说法中，正确的是（　）。 \\ #v(3pt)
#block({{set par(leading: 9pt)
[{options}]}})])"""
    )


@functools.cache
def desk_card(number: str, marker: int, side_mm: int, face_mm: int) -> Picture:
    """A face of a desk card at 3 pixels a millimetre, 210 mm wide: its 36h11 marker with a module of white, its lines.

    A marker larger than half the sheet is at the top, the lines below; a smaller one at the right, half-way up.
    """
    card = np.full((3 * face_mm, 630, 3), 250, np.uint8)
    side, border = 3 * side_mm, round(3 * side_mm / 8)
    tall = side_mm > 105
    top, left = (border, (630 - side) // 2) if tall else ((3 * face_mm - side) // 2, 630 - border - side)
    tag = cv2.aruco.generateImageMarker(_TAGS, marker, side)
    card[top : top + side, left : left + side] = tag[:, :, None]
    width = 210 if tall else (left - border) // 3
    # Large beside the fields, or as much smaller as the column beside the marker is narrower.
    pt = width / 210
    lines = _page(
        f"""#set page(width: {width}pt, height: 40pt, margin: (x: {8 * pt}pt, y: 0pt), fill: rgb("#fafafa"))
#align(horizon, grid(columns: ({64 * pt}pt, 1fr), text(size: {40 * pt}pt, weight: "bold")[{number}],
  text(size: {10 * pt}pt)[姓名 #box(line(length: {90 * pt}pt, stroke: 0.5pt)) \\ 准考证号 #box(line(length: {75 * pt}pt, stroke: 0.5pt))]))"""
    )
    at = top + side + 45 if tall else (3 * face_mm - 120) // 2
    card[at : at + 120, : 3 * width] = cv2.resize(lines, (3 * width, 120), interpolation=cv2.INTER_AREA)
    return card


@functools.cache
def sealed_bag(state: str) -> Picture:
    """The front of a paper bag, 3 by 4: ``sealed`` with the strip across its flap, or ``opened`` with the strip torn."""
    strip = (
        'rect(width: 100%, height: 30pt, fill: rgb("#f7f5ef"), stroke: none, align(center + horizon, text(size: 13pt, fill: rgb("#b3161c"), weight: "bold")[密封 · 启封前签字]))'
        if state == "sealed"
        else 'rect(width: 34%, height: 26pt, fill: rgb("#f1ece0"), stroke: none)'
    )
    return _page(
        f"""#set page(width: 150pt, height: 200pt, margin: 0pt, fill: rgb("#dcae48"))
#v(14pt)
#{strip}
#align(center)[#v(8pt) #text(size: 27pt, weight: "bold", fill: rgb("#a01217"))[试 卷 袋] \\ #text(size: 13pt, weight: "bold", fill: rgb("#a01217"))[绝密 ★ 启用前]
#v(4pt) #rect(width: 82%, stroke: 1.2pt + rgb("#a01217"), inset: 8pt, text(size: 11pt)[职业技能等级认定 \\ 第一考场　三级 \\ 试卷 30 份])]"""
    )


@functools.cache
def paper() -> Picture:
    """A printed page, 3 by 4."""
    body = "。".join(["一、单项选择题（每题一分，共八十分）下列说法正确的是"] * 9)
    return _page(
        f"#set page(width: 150pt, height: 200pt, margin: 12pt, fill: white)\n#set text(size: 7pt)\n"
        f'#align(center, text(size: 11pt, weight: "bold")[理论知识试卷])\n{body}'
    )


def floor_tiles() -> Picture:
    """Four pale floor tiles with grout lines; covers 1.6 m."""
    random = np.random.default_rng(11)
    tiles = np.empty((512, 512, 3), np.float64)
    for row in range(2):
        for column in range(2):
            tone = np.array([196, 205, 209]) + random.normal(0, 2.5)
            tiles[row * 256 : row * 256 + 256, column * 256 : column * 256 + 256] = tone
    mottle = cv2.resize(random.normal(0, 3.0, (64, 64)), (512, 512), interpolation=cv2.INTER_CUBIC)
    tiles += mottle[:, :, None]
    for at in (0, 256):
        tiles[at : at + 4] = tiles[:, at : at + 4] = (150, 158, 162)
    return np.clip(tiles, 0, 255).astype(np.uint8)


def ceiling_tiles() -> Picture:
    """One tile of a suspended ceiling, 0.6 m."""
    random = np.random.default_rng(12)
    tile = np.full((128, 128, 3), 236.0) + random.normal(0, 2.0, (128, 128, 1))
    tile[:3] = tile[:, :3] = 205
    return np.clip(tile, 0, 255).astype(np.uint8)


def wood(tone: tuple[int, int, int]) -> Picture:
    """Wood grain in a BGR tone; covers 1.3 m."""
    random = np.random.default_rng(13)
    grain = cv2.resize(random.normal(0, 6.0, (96, 6)), (512, 512), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.asarray(tone, float) + grain[:, :, None], 0, 255).astype(np.uint8)


def outside() -> Picture:
    """Bright sky and trees, out of focus, behind a window."""
    random = np.random.default_rng(14)
    view = np.empty((128, 192, 3))
    view[:] = np.linspace((255, 246, 232), (238, 240, 236), 128)[:, None]
    leaves = cv2.resize(random.random((16, 24)), (192, 128), interpolation=cv2.INTER_CUBIC)
    height = np.linspace(1.2, -1.2, 128)[:, None]
    trees = np.clip((leaves - 0.35 - height) * 1.4, 0, 1)[:, :, None]
    view = view * (1 - 0.45 * trees) + np.array([150, 190, 160]) * 0.45 * trees
    return cv2.GaussianBlur(np.clip(view, 0, 255).astype(np.uint8), (0, 0), 2.0)


def _page(source: str) -> Picture:
    whole = f'#set text(font: "Noto Sans CJK SC", lang: "zh")\n{source}'
    png = typst.compile(whole.encode(), format="png", ppi=216, font_paths=_FONTS)
    pages = png if isinstance(png, list) else [png]
    return cv2.imdecode(np.frombuffer(pages[0], np.uint8), cv2.IMREAD_COLOR)
