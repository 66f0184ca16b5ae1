"""The witness's one address: other sites submit the heads of their logs to it (C2SP tlog-witness)."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from kaozheng_service.evidence.anchors.witness import Witness

log = structlog.get_logger()

# 63 lines of proof and a checkpoint with some cosignatures are under 8 kB.
MOST_BYTES = 32_000


ADDRESS = "/witness/add-checkpoint"


def add_witness_api(app: FastAPI, witness: Witness | None) -> None:
    """Open to whoever reaches the service: only a log's own key gets anything cosigned. None where the site is none."""

    @app.post(ADDRESS, include_in_schema=False)
    async def add_checkpoint(request: Request) -> Response:
        if witness is None:
            return Response("this site is no witness\n", 404, media_type="text/plain")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return Response("too long\n", 413, media_type="text/plain")
        answer = await run_in_threadpool(witness.add_checkpoint, body)
        if answer.why:
            log.warning("a head was not cosigned", status=answer.status, why=answer.why)
        headers = {"Content-Type": answer.content_type, "Cache-Control": "no-store"}
        return Response(answer.body, answer.status, headers=headers)
