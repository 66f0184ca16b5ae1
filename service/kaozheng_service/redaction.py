"""Strikes secrets from text that leaves the process: what was read as a secret, and what looks like a login."""

from __future__ import annotations

import re
from urllib.parse import quote

from kaozheng_service.config.secrets import known_secrets

STRUCK = "****"
# Shorter ones are words of every sentence; they are struck only where they stand as a login.
_SHORTEST = 4
_LOOKS_SECRET = (
    (re.compile(r"//[^/@\s\"']*@"), f"//{STRUCK}@"),
    (
        re.compile(
            r"(?i)\b((?:pass(?:word|wd)?|pwd|secret|token|api_?key|key|sign(?:ature)?|auth)\s*[=:]\s*)"
            r"(?!\*)[^\s&,;\"'}]+"
        ),
        rf"\1{STRUCK}",
    ),
    (re.compile(r"(?i)\b(authorization\s*[=:]\s*)[^\n\"']+"), rf"\1{STRUCK}"),
    (re.compile(r"(?i)\b(bearer|basic|digest)\s+[a-z0-9+/=._~-]{8,}"), rf"\1 {STRUCK}"),
)


def redacted(text: str) -> str:
    """``text`` without secrets, as far as they are known or look like one."""
    for secret in known_secrets():
        if len(secret) >= _SHORTEST:
            for form in {secret, quote(secret, safe=""), secret.encode("unicode_escape").decode()}:
                text = text.replace(form, STRUCK)
    for pattern, instead in _LOOKS_SECRET:
        text = pattern.sub(instead, text)
    return text
