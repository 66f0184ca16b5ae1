"""Alarms by e-mail, one a mail, or many in one where many come at once."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

from kaozheng_service.alarms.channel import (
    STEP_S,
    WHOLE_S,
    DeliveryError,
    connection_trouble,
    ended_in_time,
    shut,
    tls_context,
)
from kaozheng_service.alarms.messages import parse
from kaozheng_service.alarms.words import MAIL_WORDS, Language
from kaozheng_service.clock import from_text
from kaozheng_service.config.alarms import MAIL, Mail
from kaozheng_service.config.secrets import read_secret
from kaozheng_service.config.site import Site

# An SMTP server may refuse longer ones, and nobody reads them.
_SUBJECT_CHARACTERS = 150


class MailChannel:
    """The password is read anew for each delivery."""

    name = MAIL
    together = True

    def __init__(self, site: Site, mail: Mail, *, step_s: float = STEP_S, whole_s: float = WHOLE_S) -> None:
        self._site = site
        self._mail = mail
        self._step_s = step_s
        self._whole_s = whole_s

    def target(self) -> str:
        return f"{', '.join(self._mail.to)} via {self._mail.host}:{self._mail.used_port}"

    def send(self, bodies: Sequence[str]) -> str:
        letter = letter_of(self._site, self._mail, [parse(body) for body in bodies])
        refused = deliver(
            self._site, self._mail, letter, self._mail.to, step_s=self._step_s, whole_s=self._whole_s
        )
        # Who was not refused has it; sending again would send it to those twice.
        return f"it refused {', '.join(refused)}" if refused else ""


def deliver(
    site: Site,
    mail: Mail,
    letter: EmailMessage,
    to: Sequence[str],
    *,
    step_s: float = STEP_S,
    whole_s: float = WHOLE_S,
) -> list[str]:
    """Hand a letter to the mail server; the addresses that it refused, where it took others.

    Raises
    ------
    DeliveryError : it took none
    UserError : the password cannot be read
    """
    password = None
    if mail.username is not None:
        password = read_secret("mail", site.folder, env=mail.password_env, file=mail.password_file)
    certificate = None if mail.certificate is None else site.folder / mail.certificate
    reached = False
    server: smtplib.SMTP | None = None
    try:
        context = None if mail.security == "plain" else tls_context(certificate)
        if mail.security == "tls":
            server = smtplib.SMTP_SSL(timeout=step_s, context=context)
        else:
            server = smtplib.SMTP(timeout=step_s)
        made = server
        # smtplib checks the certificate against this name, which its constructor takes only with a connection.
        made._host = mail.host  # type: ignore[attr-defined]
        with ended_in_time(lambda: shut(made.sock), whole_s):
            greeting, said = made.connect(mail.host, mail.used_port)
            if greeting != 220:
                raise smtplib.SMTPConnectError(greeting, said)
            if mail.security == "starttls":
                made.ehlo()
                made.starttls(context=context)
            reached = True
            if mail.username is not None and password is not None:
                made.login(mail.username, password)
            refused = made.send_message(letter, mail.sender, list(to))
    except smtplib.SMTPException as error:
        raise DeliveryError(_smtp_trouble(error), reached=reached) from None
    except OSError as error:
        raise DeliveryError(connection_trouble(error), reached=False) from None
    finally:
        if server is not None:
            with suppress(smtplib.SMTPException, OSError):
                server.close()
    return sorted(refused)


def letter_of(site: Site, mail: Mail, messages: Sequence[dict[str, Any]]) -> EmailMessage:
    """One message as a mail of its own, or several as one."""
    words = MAIL_WORDS[site.alarms.language]
    first = messages[0]
    subject = first["summary"] if len(messages) == 1 else _many(site, messages)
    letter = EmailMessage()
    letter["From"] = mail.sender
    letter["To"] = ", ".join(mail.to)
    letter["Subject"] = " ".join(subject.split())[:_SUBJECT_CHARACTERS]
    letter["Date"] = format_datetime(from_text(first["at"]))
    letter["Message-ID"] = f"<{first['id']}@kaozheng.{site.id}>"
    letter["Auto-Submitted"] = "auto-generated"
    parts = [_paragraph(site, message) for message in messages]
    letter.set_content("\n\n".join([*parts, f"-- \n{words.footer}"]) + "\n")
    return letter


def _many(site: Site, messages: Sequence[dict[str, Any]]) -> str:
    count = MAIL_WORDS[site.alarms.language].many.format(count=len(messages))
    return f"[{site.name}] {count}"


def _paragraph(site: Site, message: dict[str, Any]) -> str:
    language: Language = site.alarms.language
    words, alarm = MAIL_WORDS[language], message["alarm"]
    colon = "：" if language == "zh_CN" else ": "
    lines = [message["summary"], alarm["detail"], f"{words.since}{colon}{_local(site.zone, alarm['from'])}"]
    if alarm["to"] is not None and alarm["ended"] != "told":
        lines.append(f"{words.until}{colon}{_local(site.zone, alarm['to'])}")
    if alarm["next_step"] and message["event"] != "cleared":
        lines.append(f"{words.next_step}{colon}{alarm['next_step']}")
    return "\n".join(line for line in lines if line)


def _local(zone: ZoneInfo, text: str) -> str:
    moment: datetime = from_text(text).astimezone(zone)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _smtp_trouble(error: smtplib.SMTPException) -> str:
    """What the server said, but for what might repeat the login."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refused the login ({error.smtp_code}); check username and password"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it offers no STARTTLS or no login; check port and security"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refused {', '.join(sorted(error.recipients))}"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else ""
        return f"it answered {error.smtp_code} {said}".strip()[:200]
    return "it broke off the conversation"
