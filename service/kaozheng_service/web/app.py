"""The pages and the API over one station. Who may use which endpoint stands in ``access/policy.py``."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from kaozheng_service.access.actor import Actor
from kaozheng_service.access.caller import Caller
from kaozheng_service.access.grants import Grants, OpenFootage, Refusal
from kaozheng_service.access.register import Register
from kaozheng_service.clock import now
from kaozheng_service.disputes.access_rights import CaseGrants
from kaozheng_service.disputes.find import find, find_json, known_room, parse_moment
from kaozheng_service.disputes.viewing import clip_span, viewing_clip
from kaozheng_service.errors import ServiceError
from kaozheng_service.evidence.anchors.witness import Witness
from kaozheng_service.sessions.printing import printed_sheet
from kaozheng_service.station import Station
from kaozheng_service.web.account import add_account_page
from kaozheng_service.web.admin import add_admin_pages
from kaozheng_service.web.description import describe
from kaozheng_service.web.footage import footage_page
from kaozheng_service.web.guard import Guard
from kaozheng_service.web.health import readiness
from kaozheng_service.web.metrics import Metrics
from kaozheng_service.web.problems import problem, problem_of
from kaozheng_service.web.refusals import forbidden
from kaozheng_service.web.sign_in import add_sign_in_pages
from kaozheng_service.web.status import station_status
from kaozheng_service.web.templates import page_templates
from kaozheng_service.web.windows import Day, add_windows_api, day_of
from kaozheng_service.web.witness import add_witness_api

log = structlog.get_logger()
FRESH = {"Cache-Control": "no-store"}
# Of a segment in its take; what the database holds is far less.
Number = Annotated[int, Path(ge=1, le=2**31)]


def create_app(station: Station, grants: Grants | None = None) -> FastAPI:
    """The ASGI application of one station.

    Endpoints are put on the application itself, so that each has a path template of its own in ``access/policy.py``.

    Parameters
    ----------
    grants : says who may see footage; the cases when left out, unless the site file's ``access`` opens it
    """
    if grants is None:
        grants = OpenFootage() if station.site.access.open_footage else CaseGrants(station)
    register = Register(station)
    app = FastAPI(openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    templates = page_templates(station.site)
    numbers = Metrics(station)
    app.state.public_address = urlsplit(station.site.web.address) if station.site.web.address else None
    app.middleware("http")(Guard(station, templates))
    app.mount("/static", StaticFiles(directory=FilePath(__file__).with_name("static")), name="static")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def status_page(request: Request, day: Day = None) -> Response:
        context = {"status": station_status(station, day_of(day)), "page": "status", "day": day}
        return templates.TemplateResponse(request, "status.html", context, headers=FRESH)

    @app.get("/api/v1/status")
    def status(request: Request, day: Day = None) -> Response:
        """Schema ``kaozheng/status/1``; to who asks for ``text/html``, the same as the page shows it."""
        state = station_status(station, day_of(day))
        headers = {**FRESH, "Vary": "Accept"}
        if request.headers.get("accept", "").startswith("text/html"):
            context = {"status": state, "page": "status", "day": day}
            return templates.TemplateResponse(request, "status_parts.html", context, headers=headers)
        return JSONResponse(state, headers=headers)

    @app.get("/healthz")
    def healthz() -> Response:
        """That this process answers."""
        return JSONResponse({"schema": "kaozheng/health/1", "alive": True}, headers=FRESH)

    @app.get("/readyz")
    def readyz() -> Response:
        """Schema ``kaozheng/ready/1``; 503 with the reasons where something keeps the service from recording."""
        state = readiness(station, now())
        return JSONResponse(state, status_code=200 if state["ready"] else 503, headers=FRESH)

    @app.get("/metrics")
    def metrics() -> Response:
        """Numbers for Prometheus, in its text format."""
        return Response(numbers.text(now()), media_type=CONTENT_TYPE_LATEST, headers=FRESH)

    @app.get("/footage", response_class=HTMLResponse, include_in_schema=False)
    def footage(
        request: Request,
        room: str | None = None,
        seat: str | None = None,
        at: str | None = None,
        minutes: str | None = None,
        camera: str | None = None,
    ) -> Response:
        asked = {"room": room, "seat": seat, "at": at, "minutes": minutes, "camera": camera}
        status_code, context = footage_page(
            station, {name: text or "" for name, text in asked.items()}, _actor(request), grants
        )
        return templates.TemplateResponse(
            request, "footage.html", context, status_code=status_code, headers=FRESH
        )

    @app.get("/api/v1/find")
    def find_footage(
        room: str,
        at: str,
        seat: str | None = None,
        until: str | None = None,
        around_s: Annotated[float, Query(ge=0, le=3600, allow_inf_nan=False)] = 60.0,
    ) -> Response:
        """Schema ``kaozheng/find/1``. Times without a zone are the site's."""
        zone = station.site.zone
        known_room(station, room)
        last = parse_moment(until, zone) if until else None
        result = find(station, room, seat or None, parse_moment(at, zone), last, around_s)
        return JSONResponse(find_json(result), headers=FRESH)

    @app.get("/api/v1/clips/{take:path}/{first:int}-{last:int}.mp4")
    def clip(request: Request, take: str, first: Number, last: Number) -> Response:
        """Segments of a take as one MP4, for viewing only. Honours Range. Each look is on the access register."""
        actor, at = _actor(request), now()
        shown = clip_span(station, take, first, last)
        span = (shown.starts_at, shown.ends_at)
        grant = grants.may_watch(actor, shown.room, shown.camera, *span, at)
        if isinstance(grant, Refusal):
            return forbidden(templates, request, grant.needs)
        register.seen(actor, shown.room, [shown.camera], *span, grant, at)
        path = viewing_clip(station, take, first, last)
        return FileResponse(path, media_type="video/mp4", headers={"Cache-Control": "private, no-cache"})

    @app.get("/api/v1/sheets/{window}.pdf")
    def sheet(window: str) -> Response:
        """The session sheet that was printed when the window closed."""
        path = printed_sheet(station, window)
        if path is None:
            why = f"there is no sheet of window {window!r}; print it with: kaozheng sheet --window"
            raise HTTPException(404, why)
        headers = {"Cache-Control": "private, no-cache"}
        return FileResponse(path, media_type="application/pdf", filename=path.name, headers=headers)

    describe(app)
    add_windows_api(app, station)
    add_sign_in_pages(app, station, templates)
    add_account_page(app, station, templates)
    add_admin_pages(app, station, templates)
    site = station.site
    add_witness_api(app, Witness(station.state, site.id, site.witness) if site.witness is not None else None)
    app.exception_handler(ServiceError)(_service_error)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(Exception)(_unexpected)
    return app


def _actor(request: Request) -> Actor:
    """Who is signed in; the guard lets nobody else through."""
    caller: Caller = request.state.caller
    if caller.actor is None:
        raise HTTPException(401, "sign in first")
    return caller.actor


def _service_error(_request: Request, error: ServiceError) -> Response:
    return problem_of(error)


def _invalid_request(_request: Request, error: RequestValidationError) -> Response:
    faults = "; ".join(f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors())
    return problem(400, "请求有误", f"{faults}; correct the address")


def _http_error(_request: Request, error: HTTPException) -> Response:
    title = "没有这个地址" if error.status_code == 404 else "请求有误"
    return problem(error.status_code, title, f"{error.detail}; the pages are / and /footage")


def _unexpected(request: Request, error: Exception) -> Response:
    """The outermost loop of a request: logged with its cause, told without it."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, "服务内部错误", "the request failed inside the service; its log has the cause")
