"""Answer a server's challenge without sending the password: digest access authentication, RFC 7616."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_ALGORITHMS = {"md5": "md5", "sha-256": "sha256"}
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate header; names of scheme and parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """A challenge a header, as cameras send them."""
    found = []
    for header in headers:
        scheme, _, rest = header.strip().partition(" ")
        parameters = {
            match.group(1).lower(): match.group(3) if match.group(2) is None else match.group(2)
            for match in _PARAMETER.finditer(rest)
        }
        found.append(Challenge(scheme.lower(), parameters))
    return found


def answer_digest(
    challenge: Challenge,
    username: str,
    password: str,
    method: str,
    uri: str,
    *,
    client_nonce: str | None = None,
) -> str | None:
    """The Authorization header; None where the challenge wants what is not known here.

    Parameters
    ----------
    client_nonce : 16 random hex digits unless given

    Examples
    --------
    The example of RFC 2617, 3.5:

    >>> asked = challenges(['Digest realm="testrealm@host.com", qop="auth,auth-int", '
    ...     'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'])[0]
    >>> header = answer_digest(asked, "Mufasa", "Circle Of Life", "GET", "/dir/index.html",
    ...     client_nonce="0a4f113b")
    >>> header.partition('response="')[2][:32]
    '6629fae49393a05397450978507c4ef1'
    """
    asked = challenge.parameters
    algorithm = asked.get("algorithm", "MD5")
    hashed = _ALGORITHMS.get(algorithm.lower())
    qualities = [quality.strip().lower() for quality in asked.get("qop", "").split(",") if quality.strip()]
    if hashed is None or "nonce" not in asked or (qualities and "auth" not in qualities):
        return None

    def digest(text: str) -> str:
        return hashlib.new(hashed, text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = asked.get("realm", ""), asked["nonce"]
    secret, request = digest(f"{username}:{realm}:{password}"), digest(f"{method}:{uri}")
    escaped = username.replace("\\", "\\\\").replace('"', '\\"')
    fields = {"username": escaped, "realm": realm, "nonce": nonce, "uri": uri}
    if qualities:
        once = client_nonce or secrets.token_hex(8)
        response = digest(f"{secret}:{nonce}:00000001:{once}:auth:{request}")
    else:
        response = digest(f"{secret}:{nonce}:{request}")
    quoted = [f'{name}="{value}"' for name, value in (*fields.items(), ("response", response))]
    if "opaque" in asked:
        quoted.append(f'opaque="{asked["opaque"]}"')
    if "algorithm" in asked:
        quoted.append(f"algorithm={algorithm}")
    if qualities:
        quoted += ["qop=auth", "nc=00000001", f'cnonce="{once}"']
    return "Digest " + ", ".join(quoted)
