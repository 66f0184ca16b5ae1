"""The API over windows: what must be recorded, one more, and stopping one. The only part that changes anything."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from kaozheng_service.database import Window
from kaozheng_service.disputes.find import known_room
from kaozheng_service.disputes.moment import parse_moment
from kaozheng_service.errors import UserError
from kaozheng_service.recording.expectations import add_window, cancel_window, stored_windows
from kaozheng_service.recording.timetable_json import window_json, windows_json
from kaozheng_service.station import Station

FRESH = {"Cache-Control": "no-store"}
Words = Annotated[str, StringConstraints(max_length=500)]


class NewWindow(BaseModel):
    """``POST /api/v1/windows``. Times without a zone are the site's; all cameras of the room where none are named."""

    model_config = ConfigDict(extra="forbid")

    room: Words
    starts_at: Words = Field(alias="from")
    ends_at: Words = Field(alias="to")
    kind: Words = "manual"
    title: Words = ""
    cameras: Annotated[list[Words], Field(max_length=100)] | None = None


class Cancelling(BaseModel):
    """``POST /api/v1/windows/{id}/cancel``."""

    model_config = ConfigDict(extra="forbid")

    reason: Words
    by: Words = ""


def windows_api(station: Station) -> APIRouter:
    """Reading is for who may read the pages; ``guard`` lets only this machine change anything."""
    router = APIRouter(prefix="/api/v1/windows")

    @router.get("")
    def windows(day: str | None = None) -> Response:
        """Schema ``kaozheng/windows/1``: those of a day, or those not over yet."""
        return JSONResponse(windows_json(stored_windows(station, _day(day))), headers=FRESH)

    @router.post("")
    def add(asked: NewWindow) -> Response:
        """Expect one more; 201 with the window as stored."""
        zone = station.site.zone
        window = add_window(
            station,
            known_room(station, asked.room).id,
            parse_moment(asked.starts_at, zone),
            parse_moment(asked.ends_at, zone),
            kind=asked.kind,
            title=asked.title,
            camera_ids=asked.cameras,
        )
        return _answer(window, 201)

    @router.post("/{window_id}/cancel")
    def cancel(window_id: str, asked: Cancelling) -> Response:
        """Cancel it before it begins, or stop it: the rest then stays a signed gap."""
        return _answer(cancel_window(station, window_id, asked.reason, asked.by or "API"), 200)

    return router


def _answer(window: Window, status: int) -> Response:
    body = {"schema": "kaozheng/window/1", **window_json(window)}
    return JSONResponse(body, status_code=status, headers=FRESH)


def _day(text: str | None) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"the day {text!r} is not understood; write it as 2024-11-23") from None
