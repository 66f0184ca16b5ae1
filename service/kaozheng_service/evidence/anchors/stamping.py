"""Our log's head time-stamped by an authority (RFC 3161): asked for, verified, and verified again later."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import rfc3161_client as tsp
from cryptography import x509

from kaozheng_service.clock import now
from kaozheng_service.config.anchors import StampAuthority
from kaozheng_service.config.site import Site
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.anchors.anchored import Anchored
from kaozheng_service.evidence.anchors.certificate_order import in_der_order
from kaozheng_service.evidence.anchors.posting import AnchorError, post
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import AnchorStamped


class StampAnchor:
    """One authority of the site file."""

    kind = "anchor.stamped"

    def __init__(self, site: Site, authority: StampAuthority) -> None:
        self.id = authority.id
        self._authority = authority
        self._ca = site.folder / authority.ca_file if authority.ca_file is not None else None
        self._certificate = site.folder / authority.certificate if authority.certificate is not None else None

    def put(self, log: EvidenceLog, checkpoint: str) -> Anchored:
        head, data = parse_checkpoint(checkpoint), checkpoint.encode()
        who = f"time stamp {self.id}"
        request = tsp.TimestampRequestBuilder().data(data).hash_algorithm(tsp.HashAlgorithm.SHA256).build()
        url = self._authority.url
        reply = post(who, url, request.as_bytes(), "application/timestamp-query", self._certificate)
        if reply.status != 200:
            raise AnchorError(f"{who}: it answered {reply.status}")
        try:
            token = tsp.decode_timestamp_response(in_der_order(reply.body))
            if tsp.PKIStatus(token.status) != tsp.PKIStatus.GRANTED:
                said = "; ".join(token.status_string or []) or "no reason"
                raise AnchorError(f"{who}: it refused: {said}")
            info = token.tst_info
        except ValueError as error:
            raise AnchorError(
                f"{who}: its answer is no time stamp in strict DER ({error}); try the address of another authority"
            ) from None
        if info.message_imprint.message != hashlib.sha256(data).digest() or info.nonce != request.nonce:
            raise AnchorError(f"{who}: its answer is a stamp of something else, or an old one")
        if self._ca is not None:
            try:
                stamp_time(reply.body, data, self._ca)
            except (UserError, tsp.VerificationError) as error:
                raise AnchorError(f"{who}: {error}") from None
        stamped_at = info.gen_time.astimezone(UTC)
        folder = f"{head.size:09d}-stamped-{self.id}-{int(stamped_at.timestamp())}-{request.nonce or 0:x}"
        record = AnchorStamped(
            at=now(),
            size=head.size,
            root=head.root.hex(),
            tsa=self.id,
            folder=folder,
            token=hashlib.sha256(reply.body).hexdigest(),
            stamped_at=stamped_at,
            checked=self._ca is not None,
        )
        return Anchored(record, folder, {"checkpoint": data, "token.tsr": reply.body})


def stamp_time(token: bytes, data: bytes, ca_file: Path) -> datetime:
    """When the authority says that it saw ``data``, its signature checked up to a certificate of ``ca_file``.

    Raises
    ------
    UserError : the file holds no certificate
    rfc3161_client.VerificationError : the stamp is of something else, or not signed by that authority
    """
    try:
        roots = x509.load_pem_x509_certificates(ca_file.read_bytes())
    except OSError as error:
        raise UserError(f"{ca_file}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{ca_file}: holds no PEM certificate; ask the authority for its CA file") from None
    try:
        response = tsp.decode_timestamp_response(in_der_order(token))
    except ValueError as error:
        raise tsp.VerificationError(f"no time stamp: {error}") from None
    # Fresh lists: the builder adds to the ones that it shares with every other builder.
    verifier = tsp.VerifierBuilder(roots=list(roots), intermediates=[]).build()
    verifier.verify_message(response, data)
    return response.tst_info.gen_time.astimezone(UTC)
