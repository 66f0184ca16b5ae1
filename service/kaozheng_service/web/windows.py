"""The API over windows: what must be recorded, one more, and stopping one."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from kaozheng_service.access.caller import Caller
from kaozheng_service.database import Window
from kaozheng_service.disputes.find import known_room
from kaozheng_service.disputes.moment import parse_moment
from kaozheng_service.errors import UserError
from kaozheng_service.recording.expectations import add_window, cancel_window, stored_windows
from kaozheng_service.recording.timetable_json import window_json, windows_json
from kaozheng_service.station import Station

FRESH = {"Cache-Control": "no-store"}
Words = Annotated[str, StringConstraints(max_length=500)]
Day = Annotated[str | None, Query(description="such as 2024-11-23", examples=["2024-11-23"])]


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


def add_windows_api(app: FastAPI, station: Station) -> None:
    """Put these endpoints on ``app``."""

    @app.get("/api/v1/windows")
    def windows(day: Day = None) -> Response:
        """Schema ``kaozheng/windows/1``: those of a day, or those not over yet."""
        return JSONResponse(windows_json(stored_windows(station, day_of(day))), headers=FRESH)

    @app.post("/api/v1/windows", status_code=201)
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

    @app.post("/api/v1/windows/{window_id}/cancel")
    def cancel(request: Request, window_id: str, asked: Cancelling) -> Response:
        """Cancel it before it begins, or stop it: the rest then stays a signed gap. The account is in its record."""
        caller: Caller = request.state.caller
        account = caller.actor.account if caller.actor is not None else "API"
        by = f"{asked.by} ({account})" if asked.by else account
        return _answer(cancel_window(station, window_id, asked.reason, by), 200)


def _answer(window: Window, status: int) -> Response:
    body = {"schema": "kaozheng/window/1", **window_json(window)}
    return JSONResponse(body, status_code=status, headers=FRESH)


def day_of(text: str | None) -> date | None:
    """UserError where it is no day."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"the day {text!r} is not understood; write it as 2024-11-23") from None
