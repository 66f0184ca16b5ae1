"""The day's head by e-mail, through the mail server of the alarms: what lies in inboxes nobody here can rewrite."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from kaozheng_service.alarms.channel import DeliveryError
from kaozheng_service.alarms.mail import deliver
from kaozheng_service.clock import now
from kaozheng_service.config.site import Site
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.anchors.anchored import Anchored
from kaozheng_service.evidence.anchors.posting import AnchorError
from kaozheng_service.evidence.keys import fingerprint
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import AnchorMailed

_TEXT = """\
{site}：证据日志检查点，请保存本邮件。
Checkpoint of the evidence log; please keep this mail.

{checkpoint}
公钥指纹 key fingerprint: {fingerprint}

核验：将以下五行（上文自 {origin} 起、至以 — 开头的一行止）存为 mail.txt，在考点运行 kaozheng checkpoint mail.txt。
To check: keep the lines from {origin} to the one that begins with — as mail.txt; kaozheng checkpoint mail.txt
"""


class MailAnchor:
    """All addresses of ``anchors: mail:``."""

    kind = "anchor.mailed"
    id = "mail"

    def __init__(self, site: Site) -> None:
        self._site = site

    def put(self, log: EvidenceLog, checkpoint: str) -> Anchored:
        mail, asked = self._site.alarms.mail, self._site.anchors.mail
        if mail is None or asked is None:
            raise AnchorError("mail: the site file names no addresses; add anchors: mail: and alarms: mail:")
        head, at = parse_checkpoint(checkpoint), now()
        letter = EmailMessage()
        letter["From"] = mail.sender
        letter["To"] = ", ".join(asked.to)
        day = f"{at.astimezone(self._site.zone):%Y-%m-%d}"
        letter["Subject"] = f"[{self._site.name}] 证据日志检查点 checkpoint {day} ({head.size})"
        letter["Date"] = format_datetime(at)
        letter["Message-ID"] = make_msgid(domain=f"kaozheng.{self._site.id}")
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(
            _TEXT.format(
                site=self._site.name,
                checkpoint=checkpoint,
                fingerprint=fingerprint(log.public_key),
                origin=head.origin,
            )
        )
        try:
            refused = deliver(self._site, mail, letter, asked.to)
        except (DeliveryError, UserError) as error:
            raise AnchorError(f"mail: {error}") from None
        record = AnchorMailed(
            at=now(),
            size=head.size,
            root=head.root.hex(),
            recipients=len(asked.to) - len(refused),
            message=letter["Message-ID"],
        )
        return Anchored(record, "", {})
