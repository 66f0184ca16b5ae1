"""Alarms as JSON by HTTP POST, signed where a secret is given. Redirects are not followed."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from kaozheng_service.alarms.channel import (
    STEP_S,
    WHOLE_S,
    DeliveryError,
    connection_trouble,
    ended_in_time,
    shut,
    tls_context,
)
from kaozheng_service.config.alarms import Webhook, url_fault
from kaozheng_service.config.secrets import read_secret
from kaozheng_service.config.site import Site
from kaozheng_service.errors import UserError

SIGNATURE = "X-Kaozheng-Signature"


class WebhookChannel:
    """``url`` and secret are read anew for each delivery, so that a mended file needs no restart."""

    together = False

    def __init__(
        self, site: Site, webhook: Webhook, *, step_s: float = STEP_S, whole_s: float = WHOLE_S
    ) -> None:
        self.name = webhook.id
        self._site = site
        self._webhook = webhook
        self._step_s = step_s
        self._whole_s = whole_s

    def target(self) -> str:
        """Scheme and host: the path may be a secret."""
        try:
            parts = urlsplit(self._url())
        except UserError as error:
            return str(error)
        return f"{parts.scheme}://{parts.netloc}"

    def send(self, bodies: Sequence[str]) -> str:
        for body in bodies:
            self._post(body.encode())
        return ""

    def _post(self, body: bytes) -> None:
        parts = urlsplit(self._url())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "kaozheng",
            "Idempotency-Key": str(json.loads(body)["id"]),
            "Connection": "close",
        }
        secret = self._secret()
        if secret is not None:
            headers[SIGNATURE] = signature(secret, body)
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = tls_context(self._certificate())
            connection = http.client.HTTPSConnection(host, parts.port, timeout=self._step_s, context=context)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=self._step_s)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with ended_in_time(lambda: shut(connection.sock), self._whole_s):
                connection.request("POST", path, body, headers)
                status = connection.getresponse().status
        except OSError as error:
            raise DeliveryError(connection_trouble(error), reached=False) from None
        except http.client.HTTPException as error:
            why = f"its answer is no HTTP ({type(error).__name__})"
            raise DeliveryError(why, reached=False) from None
        finally:
            connection.close()
        if 300 <= status < 400:
            raise DeliveryError(
                f"it answered {status}, a redirect, which is not followed; name the last address",
                reached=True,
            )
        if not 200 <= status < 300:
            raise DeliveryError(f"it answered {status}", reached=True)

    def _url(self) -> str:
        webhook = self._webhook
        if webhook.url is not None:
            return webhook.url
        what = f"webhook {webhook.id}"
        url = read_secret(what, self._site.folder, env=webhook.url_env, file=webhook.url_file)
        if fault := url_fault(url):
            raise UserError(f"{what}: the address that is kept outside the site file: {fault}")
        return url

    def _secret(self) -> str | None:
        webhook = self._webhook
        if webhook.secret_env is None and webhook.secret_file is None:
            return None
        what = f"webhook {webhook.id}"
        secret = read_secret(what, self._site.folder, env=webhook.secret_env, file=webhook.secret_file)
        if not secret:
            raise UserError(f"{what}: its signing secret is empty")
        return secret

    def _certificate(self) -> Path | None:
        certificate = self._webhook.certificate
        return None if certificate is None else self._site.folder / certificate


def signature(secret: str, body: bytes) -> str:
    """HMAC-SHA256 of the exact bytes that are sent: ``sha256=`` and 64 digits."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
