"""The Jinja environment of the pages: strict about names, escaping everything."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kaozheng_service import session_wording, wording
from kaozheng_service.access.policy import Permission
from kaozheng_service.access.words import permission_name, role_name
from kaozheng_service.config.site import Site
from kaozheng_service.web import present, words


def page_templates(site: Site) -> Jinja2Templates:
    """Templates with the filters that show a site's times, sizes and verdicts in words."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        site_name=site.name,
        timezone=site.timezone,
        room_names={room.id: room.name for room in site.rooms},
        bars=partial(present.bars, zone=site.zone, words=words.stretch_words),
        ticks=partial(present.ticks, zone=site.zone),
        position=present.position,
        fault_bar=partial(present.fault_bar, zone=site.zone),
        line_verdict=words.line_verdict,
        open_footage=site.access.open_footage,
        permission={one.name.lower(): one for one in Permission},
    )
    environment.filters.update(
        local=present.local_time(site.zone),
        size=present.size_text,
        rate=present.rate_text,
        duration=session_wording.length_text,
        ago=present.ago_text,
        camera_state=words.camera_state,
        picture_state=words.picture_state,
        window_state=words.window_state,
        gap_cause=wording.gap_cause_name,
        backfill=wording.backfill_name,
        part=words.part,
        outcome=words.outcome,
        occluder=wording.occluder_name,
        sight_cause=words.sight_cause,
        moment_state=words.moment_state,
        role=role_name,
        permission=permission_name,
    )
    return Jinja2Templates(env=environment)
