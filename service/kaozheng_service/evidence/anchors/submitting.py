"""Our log's head submitted to a witness, with the proof that it follows what the witness saw last (tlog-witness)."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

from kaozheng_service.clock import now
from kaozheng_service.config.anchors import WitnessPeer
from kaozheng_service.config.site import Site
from kaozheng_service.disputes.standalone.cosignatures import check_cosignature
from kaozheng_service.evidence.anchors.anchored import Anchored
from kaozheng_service.evidence.anchors.posting import AnchorError, Reply, post
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import AnchorWitnessed

# A witness whose clock is further off than this is of no use as a witness of time.
CLOCK_OFF_S = 3600


class WitnessAnchor:
    """One witness of the site file."""

    kind = "anchor.witnessed"

    def __init__(self, site: Site, peer: WitnessPeer) -> None:
        self.id = peer.id
        self._peer = peer
        self._certificate = site.folder / peer.certificate if peer.certificate is not None else None
        self._seen = 0  # what it saw last, as far as we know: it says so itself where we are wrong

    def put(self, log: EvidenceLog, checkpoint: str) -> Anchored:
        head = parse_checkpoint(checkpoint)
        reply = self._submit(log, checkpoint, head.size)
        if reply.status == 409:
            self._seen = self._size_of(reply)
            if self._seen > head.size:
                raise AnchorError(
                    f"witness {self.id} has seen {self._seen} entries of this log, which has {head.size}: "
                    "its end was cut off or it was rewritten",
                    refused=True,
                )
            reply = self._submit(log, checkpoint, head.size)
        if reply.status in (409, 422):
            raise AnchorError(
                f"witness {self.id} refuses: the log of {head.size} entries does not begin with the {self._seen} "
                "that it cosigned: the log was rewritten",
                refused=True,
            )
        if reply.status != 200:
            raise AnchorError(f"witness {self.id} answered {reply.status}: {_said(reply)}")
        cosigned = checkpoint + reply.body.decode("utf-8", errors="replace")
        found = check_cosignature(cosigned, self._peer.key)
        if found is None:
            raise AnchorError(f"witness {self.id}: its answer is not signed by its key {self._peer.key}")
        cosigned_at = datetime.fromtimestamp(found.at_s, UTC)
        if abs((cosigned_at - now()).total_seconds()) > CLOCK_OFF_S:
            raise AnchorError(
                f"witness {self.id}: its clock or ours is off: it signed at {cosigned_at:%F %T} UTC"
            )
        self._seen = head.size
        folder = f"{head.size:09d}-witnessed-{self.id}-{found.at_s}"
        record = AnchorWitnessed(
            at=now(),
            size=head.size,
            root=head.root.hex(),
            witness=self.id,
            key=self._peer.key,
            folder=folder,
            checkpoint=hashlib.sha256(cosigned.encode()).hexdigest(),
            cosigned_at=cosigned_at,
        )
        return Anchored(record, folder, {"checkpoint": cosigned.encode()})

    def _submit(self, log: EvidenceLog, checkpoint: str, size: int) -> Reply:
        old = min(self._seen, size)
        proof = log.consistency_proof(old, size) if old else []
        lines = [f"old {old}", *(base64.b64encode(step).decode() for step in proof)]
        body = "\n".join(lines) + "\n\n" + checkpoint
        url = f"{self._peer.url}/add-checkpoint"
        return post(f"witness {self.id}", url, body.encode(), "text/plain; charset=utf-8", self._certificate)

    def _size_of(self, reply: Reply) -> int:
        text = reply.body.decode("ascii", errors="replace").strip()
        if reply.content_type != "text/x.tlog.size" or not text.isdecimal() or len(text) > 19:
            raise AnchorError(f"witness {self.id} answered 409 without its size: {_said(reply)}")
        return int(text)


def _said(reply: Reply) -> str:
    return " ".join(reply.body.decode("utf-8", errors="replace").split())[:120]
