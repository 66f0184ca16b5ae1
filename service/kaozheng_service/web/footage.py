"""The look-up page's content: the form as it was filled, and what was found for it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from kaozheng_service.access.actor import Actor
from kaozheng_service.access.grants import Grants
from kaozheng_service.access.grants import Refusal as NotGranted
from kaozheng_service.clock import now, to_text
from kaozheng_service.disputes.alarms import alarm_json
from kaozheng_service.disputes.find import UnknownNameError, find, known_room, parse_moment
from kaozheng_service.disputes.found import FindResult, FoundCamera, stretch_json
from kaozheng_service.disputes.sight import room_seats
from kaozheng_service.disputes.timeline import State
from kaozheng_service.disputes.viewing import clips_of
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.station import Station
from kaozheng_service.web import words
from kaozheng_service.web.problems import status_of

MOST_MINUTES = 120
DEFAULT_MINUTES = 2
AROUND_S = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was looked up: a headline in the page's language and the full message."""

    headline: str
    detail: str


def footage_page(
    station: Station, asked: dict[str, str], actor: Actor, grants: Grants
) -> tuple[int, dict[str, Any]]:
    """HTTP status and template context for the fields ``room seat at minutes camera`` ("" when not given).

    Without a grant a camera's footage is found and not shown.
    """
    context: dict[str, Any] = {
        "page": "footage",
        "rooms": [(room.id, room.name) for room in station.site.rooms],
        "seats": {room.id: room_seats(room) for room in station.site.rooms},
        "form": _form(station, asked),
        "result": None,
        "refusal": None,
        "needs": (),
    }
    if not asked["room"] or not asked["at"]:
        return 200, context
    try:
        room = known_room(station, asked["room"])
        context["form"]["room"] = room.id
        at = parse_moment(asked["at"], station.site.zone)
        until = at + timedelta(minutes=_minutes(asked["minutes"]))
        result = find(station, room.id, asked["seat"].strip() or None, at, until, AROUND_S)
    except ServiceError as error:
        context["refusal"] = Refusal(_headline(error), str(error))
        return status_of(error), context
    refused = _refused(result, actor, grants)
    context["needs"] = next(iter(refused.values())).needs if refused else ()
    context["result"] = _result(station, result, asked["camera"])
    for camera in context["result"]["cameras"]:
        camera["refused"] = camera["id"] in refused
        camera["clips"] = [] if camera["refused"] else camera["clips"]
    context["player"] = [_for_player(camera) for camera in context["result"]["cameras"]]
    return 200, context


def _refused(result: FindResult, actor: Actor, grants: Grants) -> dict[str, NotGranted]:
    """The cameras that ``actor`` may not see, with what is needed."""
    at = now()
    answers = {
        camera.camera_id: grants.may_watch(
            actor, result.room_id, camera.camera_id, result.starts_at, result.ends_at, at
        )
        for camera in (*result.cameras, *result.blind)
    }
    return {camera: answer for camera, answer in answers.items() if isinstance(answer, NotGranted)}


def _form(station: Station, asked: dict[str, str]) -> dict[str, str]:
    """What the fields show: what was typed, a moment in the one form that names it fully."""
    zone = station.site.zone
    at = asked["at"]
    try:
        moment = parse_moment(at, zone) if at else now().replace(second=0, microsecond=0)
        at = moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    except UserError:
        pass  # shown as it was typed, beside the message
    return {
        "room": asked["room"],
        "seat": asked["seat"],
        "at": at,
        "minutes": asked["minutes"] or str(DEFAULT_MINUTES),
    }


def _minutes(text: str) -> int:
    if not text:
        return DEFAULT_MINUTES
    if not text.isdecimal() or not 1 <= int(text) <= MOST_MINUTES:
        raise UserError(f"the length {text!r} is not a whole number of minutes from 1 to {MOST_MINUTES}")
    return int(text)


def _headline(error: ServiceError) -> str:
    if isinstance(error, UnknownNameError):
        near = f"相近的有：{'、'.join(error.nearest)}" if error.nearest else "请核对后重填"
        return f"没有{'考场' if error.kind == 'room' else '座位'}“{error.name}”。{near}"
    return "填写有误，请改正后再查" if isinstance(error, UserError) else "暂时无法查询"


def _result(station: Station, result: FindResult, camera_id: str) -> dict[str, Any]:
    """The found cameras with their clips; shown first is the one asked for, else the best with footage."""
    cameras = [
        _camera(station, result, camera, rank)
        for rank, camera in enumerate((*result.cameras, *result.blind), start=1)
    ]
    shown = next((camera for camera in cameras if camera["id"] == camera_id), None)
    shown = shown or next((camera for camera in cameras if camera["recorded"] and camera["sees"]), None)
    shown = shown or next((camera for camera in cameras if camera["recorded"]), None)
    shown = shown or next((camera for camera in cameras if camera["clips"]), None)
    return {
        "room": result.room_id,
        "room_name": result.room_name,
        "seat": result.seat,
        "found": result.found,
        "at": to_text(result.at),
        "until": to_text(result.until),
        "from": to_text(result.starts_at),
        "to": to_text(result.ends_at),
        "windows": result.windows,
        "cameras": cameras,
        "shown": shown["id"] if shown else None,
        "nearest": [
            {"word": word, "camera": near.camera_id, "at": to_text(at), "query": _query(station, result, at)}
            for word, near, at in (
                (
                    "之前最近的录像到",
                    result.before,
                    result.before.at - timedelta(seconds=5) if result.before else None,
                ),
                ("之后最近的录像从", result.after, result.after.at if result.after else None),
            )
            if near is not None and at is not None
        ],
    }


def _camera(station: Station, result: FindResult, camera: FoundCamera, rank: int) -> dict[str, Any]:
    sources = {one.segment.take: one.source for one in camera.backfilled}
    came = tuple(one.segment for one in camera.backfilled)
    clips = [
        {
            "url": f"/api/v1/clips/{quote(clip.name)}.mp4",
            "from": to_text(clip.starts_at),
            "to": to_text(clip.ends_at),
            "source": sources.get(clip.take),
        }
        # Where two show a moment the player takes the first: what was recorded wins over what came afterwards.
        for clip in (*clips_of(camera.segments), *clips_of(came))
    ]
    timeline = [stretch_json(stretch) for stretch in camera.timeline]
    first = camera.segments[0] if camera.segments else None
    stated = camera.width_px / camera.height_px
    return {
        "id": camera.camera_id,
        "rank": rank,
        "sees": camera.sight is None or camera.sight.sees,
        "sight": camera.sight,
        "box": camera.sight.box_px if camera.sight else None,
        "picture": (camera.width_px, camera.height_px),
        # A box is computed for the stated picture: over one of another shape it would lie.
        "box_fits": first is None or abs(first.width / first.height / stated - 1) < 0.02,
        "recorded": camera.recorded,
        "at_moment": camera.at_moment.value,
        "clips": clips,
        "segments": camera.segments,
        "backfilled": camera.backfilled,
        "gaps": camera.gaps,
        "timeline": timeline,
        "alarms": [alarm_json(alarm) for alarm in camera.alarms],
        "absent": [
            {"from": part["from"], "to": part["to"], "words": words.stretch_words(part)}
            for part in timeline
            if part["state"] != State.RECORDED.value
        ],
        "command": _export_command(station, result, camera.camera_id),
    }


def _for_player(camera: dict[str, Any]) -> dict[str, Any]:
    """What the player's script needs of a camera, and nothing more."""
    return {
        "id": camera["id"],
        "picture": camera["picture"],
        "box": camera["box"] if camera["box_fits"] and camera["sees"] else None,
        "clips": camera["clips"],
        "refused": camera["refused"],
        "timeline": [
            {"from": part["from"], "to": part["to"], "words": words.stretch_words(part)}
            for part in camera["timeline"]
        ],
    }


def _query(station: Station, result: FindResult, at: datetime) -> str:
    local = at.astimezone(station.site.zone).strftime("%Y-%m-%d %H:%M:%S")
    seat = f"&seat={quote(result.seat)}" if result.seat else ""
    minutes = max(round((result.until - result.at).total_seconds() / 60), 1)
    return f"/footage?room={quote(result.room_id)}{seat}&at={quote(local)}&minutes={minutes}"


def _export_command(station: Station, result: FindResult, camera_id: str) -> str:
    """The command that hands this footage over, to be run beside the site file with the reason filled in."""

    def local(moment: datetime, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        return moment.astimezone(station.site.zone).strftime(form)

    name = "-".join(
        part for part in ("export", result.room_id, result.seat, local(result.at, "%Y%m%d-%H%M%S")) if part
    )
    words_ = ["kaozheng", "export", "--config", "site.yaml", "--room", result.room_id, "--camera", camera_id]
    words_ += ["--seat", result.seat] if result.seat else []
    words_ += ["--from", local(result.starts_at), "--to", local(result.ends_at)]
    return shlex.join([*words_, "--reason", "写明理由", "--out", name])
