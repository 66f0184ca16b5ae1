"""An export for a case: while its viewing is open, on the register before it is made, a step of the case after."""

from __future__ import annotations

from collections.abc import Callable

from kaozheng_service.access.actor import Actor
from kaozheng_service.cases.desk import note_export
from kaozheng_service.cases.register import note_view
from kaozheng_service.clock import now
from kaozheng_service.disputes.access_rights import require_case
from kaozheng_service.disputes.export import ExportRequest, ExportResult
from kaozheng_service.station import Station


def export_for_case(
    station: Station,
    case_id: str,
    actor: Actor,
    request: ExportRequest,
    export: Callable[[], ExportResult],
    *,
    console: bool = True,
) -> ExportResult:
    """Make ``request`` by ``export`` for a case.

    Raises
    ------
    NotAllowedError : no viewing of that case is open for ``actor``, or not of these cameras and this range
    UserError, ServiceError : as ``export`` does
    """
    span = request.starts_at, request.ends_at
    room = station.site.room(request.room_id).id
    grant = require_case(station, case_id, actor, room, request.camera_ids, *span, now())
    why = f"导出 · export: {request.reason}"
    note_view(station, actor, room, request.camera_ids, *span, grant.case, why, now())
    result = export()
    note_export(station, case_id, result.id, result.leaf, actor, now(), console=console)
    return result
