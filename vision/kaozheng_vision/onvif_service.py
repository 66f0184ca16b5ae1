"""The one place that touches onvif-zeep-async: its services over a transport that distrusts the device.

The library gives the WSDL files, the SOAP types, the WS-Security login dated by the device's own clock, and
mends for times that devices write wrongly. Ours are the limits: no redirect, no proxy, a bounded answer, no
DTD, and no connection but to the address that we name.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
from datetime import timedelta
from pathlib import Path

import aiohttp
import zeep.exceptions

# Importing the library sets up the root logger; that is the program's affair.
_ROOT = logging.getLogger()
_HANDLERS, _LEVEL = list(_ROOT.handlers), _ROOT.level
import onvif.client  # noqa: E402
import onvif.definition  # noqa: E402
import onvif.settings  # noqa: E402
import onvif.util  # noqa: E402

_ROOT.handlers[:] = _HANDLERS
_ROOT.setLevel(_LEVEL)
# At DEBUG they would log whole answers, in which a device may have written its password.
for _name in ("onvif", "zeep"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# For answers of any device; the library itself only checks for entities, and lifts lxml's limits.
onvif.settings.DEFAULT_SETTINGS.forbid_dtd = True
onvif.settings.DEFAULT_SETTINGS.xml_huge_tree = False

DEVICE = "devicemgmt"
MEDIA = "media"
# The largest answer asked for here is GetProfiles: some 10 kB a profile, and devices have up to 32.
LONGEST_ANSWER = 2_000_000
_PREPARING = threading.Lock()
_WSDL = Path(onvif.client.__file__).parent / "wsdl"


class AnswerTooLongError(Exception):
    """A device that sends more than its answer can be."""


class OnvifService(onvif.client.ONVIFService):  # type: ignore[misc]
    """One service of one device; its operations are methods, ``authless_`` in front sends no login.

    Parameters
    ----------
    kind : DEVICE or MEDIA
    url : where it answers, with an IP address as its host
    skew_s : device's clock minus ours, seconds: the login is dated by the device's clock
    """

    def __init__(
        self, kind: str, url: str, username: str | None, password: str | None, skew_s: float
    ) -> None:
        definition = onvif.definition.SERVICES[kind]
        self.kind = kind
        super().__init__(
            url,
            username,
            password or "",
            str(_WSDL / definition["wsdl"]),
            no_cache=True,
            dt_diff=timedelta(seconds=skew_s),
            binding_name=f"{{{definition['ns']}}}{definition['binding']}",
        )
        self.transport = _GuardedTransport(session=self._session, verify_ssl=True, cache=None)


class _GuardedTransport(onvif.client.AsyncTransportProtocolErrorHandler):  # type: ignore[misc]
    async def _post_internal(
        self, address: str, message: str | bytes, headers: dict[str, str] | None
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        headers = {"Content-Type": 'application/soap+xml; charset="utf-8"', **(headers or {})}
        data = message.encode() if isinstance(message, str) else message
        async with self.session.post(address, data=data, headers=headers, allow_redirects=False) as response:
            return response, await _content(response, LONGEST_ANSWER)


def prepare_services() -> None:
    """Read the WSDL files, once for all threads: it takes a second or two of the processor."""
    with _PREPARING:
        for kind in (DEVICE, MEDIA):
            path = str(_WSDL / onvif.definition.SERVICES[kind]["wsdl"])
            if path not in onvif.client._DOCUMENT_CACHE:
                asyncio.run(onvif.client._cached_document(path))


def onvif_errors() -> tuple[type[Exception], ...]:
    """All that a device's answer, or the lack of one, can raise here."""
    return (
        onvif.client.ONVIFError,
        zeep.exceptions.Error,
        aiohttp.ClientError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
    )


def is_refused_login(error: BaseException) -> bool:
    """Whether a device's answer means that it wants another login."""
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    return status in (401, 403) or bool(onvif.util.is_auth_error(error))


async def fetch(url: str, username: str | None, password: str | None, *, longest: int) -> bytes:
    """GET a picture, with a digest login where it is asked for, and a basic one where nothing else is offered.

    Raises
    ------
    aiohttp.ClientResponseError : any status but 200
    AnswerTooLongError : more than ``longest`` bytes
    """
    async with aiohttp.ClientSession(trust_env=False) as session:
        async with session.get(url, allow_redirects=False) as response:
            offered = " ".join(response.headers.getall("WWW-Authenticate", [])).lower()
            if response.status != 401 or username is None:
                response.raise_for_status()
                return await _content(response, longest)
        middlewares: tuple[aiohttp.DigestAuthMiddleware, ...] = ()
        headers = {}
        if "digest" in offered:
            middlewares = (aiohttp.DigestAuthMiddleware(username, password or ""),)
        elif "basic" in offered:
            login = base64.b64encode(f"{username}:{password or ''}".encode()).decode()
            headers = {"Authorization": f"Basic {login}"}
        async with session.get(
            url, headers=headers, middlewares=middlewares, allow_redirects=False
        ) as response:
            response.raise_for_status()
            return await _content(response, longest)


async def _content(response: aiohttp.ClientResponse, longest: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        content += chunk
        if len(content) > longest:
            raise AnswerTooLongError
    return bytes(content)
