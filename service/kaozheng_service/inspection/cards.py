"""Desk cards (桌签) of a room as a PDF: foldable A4 sheets, and a page that says which cameras will read which card."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import shapely
import typst
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import (
    MODULES,
    SHEET_HEIGHT_M,
    SHEET_WIDTH_M,
    TENT,
    CardForm,
    card_faces,
    card_form,
    card_place,
    card_zones,
    marker_place,
)
from kaozheng_coverage.card_sight import (
    LEAST_PX,
    SURE_PX,
    CardChance,
    CardSight,
    advised_marker_m,
    best_sights,
    card_sights,
)
from kaozheng_coverage.room import Room
from kaozheng_vision.markers import marker_modules

from kaozheng_service import card_wording, wording
from kaozheng_service.config.geometry import room_cameras, room_geometry
from kaozheng_service.config.site import RoomConfig, Site
from kaozheng_service.errors import UserError
from kaozheng_service.paper import FONTS

TEMPLATE = Path(__file__).with_name("cards.typ")
# Printers leave 4 to 5 mm of a sheet white at its edges.
_UNPRINTED_MM = 6.0
# Sizes that no ruler tells apart.
_SAME_M = 5e-5


@dataclass(frozen=True, slots=True)
class CardPlan:
    """What is printed for a room, and what each camera will read of it.

    ``stated_m`` is the marker's side in the site file, ``advised_m`` what suits the cameras best; ``sights`` holds
    for each camera and card the face that it sees better, camera by camera.
    """

    room_id: str
    geometry: Room
    cameras: tuple[Camera, ...]
    marker_m: float
    stated_m: float
    advised_m: float
    sights: tuple[CardSight, ...]

    @property
    def form(self) -> CardForm:
        return card_form(self.marker_m)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every card: seats by number, then zones by id."""
        seats = tuple(seat.number for seat in self.geometry.seats)
        return (*seats, *(zone.id for zone in card_zones(self.geometry)))

    def of(self, label: str) -> tuple[CardSight, ...]:
        """How every camera sees a card."""
        return tuple(sight for sight in self.sights if sight.face.label == label)

    def chance(self, label: str) -> CardChance:
        """The best that any camera has."""
        chances = {sight.chance for sight in self.of(label)}
        return next((one for one in CardChance if one in chances), CardChance.NONE)

    @property
    def sheets(self) -> int:
        """Of paper, without the pages that explain."""
        return len(self.geometry.seats) * self.form.sheets + len(card_zones(self.geometry))

    @property
    def to_write(self) -> str:
        """The line for the room in the site file; "" where it says so already."""
        same = abs(self.marker_m - self.stated_m) < _SAME_M
        return "" if same else f"card_marker: {self.marker_m:g}"


def plan_cards(room: RoomConfig, marker_m: float | None = None) -> CardPlan:
    """Choose the form, and reckon which camera will read which card.

    Parameters
    ----------
    marker_m : side of the marker; None for what suits the cameras best

    Raises
    ------
    UserError : the room has nothing that a card is for
    CoverageError : no card holds such a marker, or there are more cards than markers
    """
    geometry, cameras = room_geometry(room), room_cameras(room)
    if not geometry.seats and not card_zones(geometry):
        raise UserError(
            f"room {room.id} has neither seats nor a seal_opening zone: there is nothing to print a card for"
        )
    advised_m = advised_marker_m(geometry, cameras)
    chosen_m = advised_m if marker_m is None else marker_m
    best = best_sights(card_sights(geometry, cameras, chosen_m))
    return CardPlan(room.id, geometry, cameras, chosen_m, room.card_marker, advised_m, tuple(best.values()))


def cards_pdf(site: Site, plan: CardPlan, out: Path) -> Path:
    """Write the PDF. The same site file and size give the same bytes: no system font and no clock enter.

    Raises
    ------
    UserError : ``out`` cannot be written
    """
    content = _typeset(site, plan, "pdf")[0]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(content)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}; name another place") from None
    return out


def cards_png(site: Site, plan: CardPlan, pixels_per_inch: float) -> list[bytes]:
    """The same pages as pictures."""
    return _typeset(site, plan, "png", pixels_per_inch)


def cards_json(plan: CardPlan, out: Path) -> dict[str, Any]:
    """``kaozheng/cards/1``."""
    faces = card_faces(plan.geometry, plan.marker_m)
    return {
        "schema": "kaozheng/cards/1",
        "room": plan.room_id,
        "file": str(out),
        "form": plan.form.name,
        "sheets": plan.sheets,
        "marker_m": plan.marker_m,
        "advised_marker_m": plan.advised_m,
        "site_file_marker_m": plan.stated_m,
        "write_to_site_file": plan.to_write,
        "cards": [
            {
                "label": label,
                "markers": [face.marker_id for face in faces if face.label == label],
                "chance": plan.chance(label).value,
                "cameras": [_sight_json(sight) for sight in plan.of(label)],
            }
            for label in plan.labels
        ],
    }


def _sight_json(sight: CardSight) -> dict[str, Any]:
    return {
        "camera": sight.camera_id,
        "marker": sight.face.marker_id,
        "chance": sight.chance.value,
        "cause": sight.cause,
        "side_px": round(sight.side_px, 2),
        "slant_deg": round(sight.slant_deg, 1),
        "hidden": round(sight.hidden, 3),
        "hidden_by": list(sight.hidden_by),
        "needed_marker_m": None if sight.needed_m is None else round(sight.needed_m, 4),
    }


def _typeset(
    site: Site, plan: CardPlan, form: Literal["pdf", "png"], pixels_per_inch: float | None = None
) -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="kaozheng-cards-") as folder:
        desk = Path(folder)
        shutil.copyfile(TEMPLATE, desk / "cards.typ")
        for face in card_faces(plan.geometry, plan.marker_m):
            (desk / f"{face.marker_id}.svg").write_text(marker_svg(face.marker_id), encoding="utf-8")
        data = _data(site, plan)
        (desk / "data.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        made = typst.compile(
            str(desk / "cards.typ"),
            root=str(desk),
            format=form,
            font_paths=[str(FONTS)],
            ignore_system_fonts=True,
            timestamp=0,
            ppi=pixels_per_inch,
        )
    return made if isinstance(made, list) else [made]


def marker_svg(number: int) -> str:
    """A marker's black as one path, 8 x 8 units without its white border: sharp at any size, no seams."""
    black = marker_modules(number)
    squares = [
        shapely.box(column, row, column + 1, row + 1)
        for row in range(MODULES)
        for column in range(MODULES)
        if black[row, column]
    ]
    rings: list[Any] = []
    for part in shapely.get_parts(shapely.union_all(squares)):
        rings += [part.exterior, *part.interiors]
    path = "".join(_loop(ring.coords[:-1]) for ring in rings)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{MODULES}" height="{MODULES}" '
        f'viewBox="0 0 {MODULES} {MODULES}"><path fill="#000" fill-rule="evenodd" d="{path}"/></svg>'
    )


def _loop(points: Iterable[tuple[float, ...]]) -> str:
    return "M" + "L".join(f"{point[0]:g} {point[1]:g}" for point in points) + "Z"


def _data(site: Site, plan: CardPlan) -> dict[str, Any]:
    """Every word and measure (millimetres) of the pages; ``cards.typ`` only places them."""
    geometry, form, marker_mm = plan.geometry, plan.form, 1000 * plan.marker_m
    border_mm = marker_mm / MODULES
    across_m, below_m = marker_place(form, plan.marker_m)
    face_mm = 1000 * form.face_m
    width_mm, height_mm = 1000 * SHEET_WIDTH_M, 1000 * SHEET_HEIGHT_M
    left_mm, top_mm = width_mm / 2 + 1000 * across_m - marker_mm / 2, 1000 * below_m - marker_mm / 2
    if form is TENT:
        words = (_UNPRINTED_MM, 8.0, left_mm - border_mm, face_mm - 8.0)
    else:
        words = (
            _UNPRINTED_MM + 4,
            top_mm + marker_mm + border_mm,
            width_mm - _UNPRINTED_MM - 4,
            face_mm - 4.0,
        )
    setting_up, same = _setting_up(plan), abs(plan.advised_m - plan.marker_m) < _SAME_M
    faces = card_faces(geometry, plan.marker_m)
    ids = {label: [face.marker_id for face in faces if face.label == label] for label in plan.labels}
    return {
        "site": site.name,
        "room": site.room(plan.room_id).name,
        "form": form.name,
        "form_name": card_wording.form_name(form),
        "sheets": plan.sheets,
        "marker": marker_mm,
        "marker_text": f"{marker_mm:g}",
        "border": border_mm,
        "left": left_mm,
        "top": top_mm,
        "face": face_mm,
        "base": 1000 * form.base_m,
        "height": height_mm,
        # Where the other sheet's foot ends, of a card of two: the base is both feet less what they overlap.
        "lap": face_mm + 1000 * form.base_m - (height_mm - face_mm),
        "words": words,
        "sides": card_wording.SIDES,
        "setting_up": setting_up,
        "notes": [
            *setting_up,
            *([] if same else [card_wording.advice_sentence(plan.marker_m, plan.advised_m)]),
        ],
        "desk": _desk(plan),
        "cards": [{"number": seat.number, "ids": ids[seat.number]} for seat in geometry.seats],
        "zones": [
            {
                "name": wording.zone_name(zone.kind),
                "ids": ids[zone.id],
                "how": card_wording.zone_sentence(zone, plan.marker_m),
            }
            for zone in card_zones(geometry)
        ],
        "cameras": [camera.id for camera in plan.cameras],
        "rows": [_row(plan, label) for label in plan.labels],
        "summary": card_wording.summary_sentence(
            {
                one: [_name(plan, label) for label in plan.labels if plan.chance(label) is one]
                for one in CardChance
            }
        ),
        "sure_px": f"{SURE_PX:g}",
        "least_px": f"{LEAST_PX:g}",
        "to_write": plan.to_write,
    }


def _setting_up(plan: CardPlan) -> list[str]:
    """How a card is folded, and where it stands: on every card too."""
    places = sorted({card_place(seat) for seat in plan.geometry.seats})
    return [
        *card_wording.folding_sentences(plan.form, plan.marker_m),
        *(card_wording.placing_sentence(*place) for place in places),
    ]


def _desk(plan: CardPlan) -> dict[str, Any] | None:
    """The first desk from above, millimetres, as all of a room are alike; None in a room without seats."""
    if not plan.geometry.seats:
        return None
    seat = plan.geometry.seats[0]
    right_m, forward_m = card_place(seat)
    screen = seat.monitor
    return {
        "width": 1000 * seat.desk.width_m,
        "depth": 1000 * seat.desk.depth_m,
        "right": 1000 * right_m,
        "forward": 1000 * forward_m,
        "card": 1000 * SHEET_WIDTH_M,
        "base": 1000 * plan.form.base_m,
        "words": f"右{100 * right_m:.0f}厘米，前{100 * forward_m:.0f}厘米",
        "monitor": None
        if screen is None
        else {
            "width": 1000 * screen.width_m,
            "setback": 1000 * screen.setback_m,
            "thickness": 1000 * screen.thickness_m,
        },
    }


def _row(plan: CardPlan, label: str) -> dict[str, Any]:
    return {
        "name": _name(plan, label),
        "chance": plan.chance(label).value,
        "cells": [
            {"chance": sight.chance.value, "text": card_wording.sight_sentence(sight)}
            for sight in plan.of(label)
        ],
    }


def _name(plan: CardPlan, label: str) -> str:
    zones = {zone.id: zone for zone in card_zones(plan.geometry)}
    return wording.zone_name(zones[label].kind) if label in zones else label
