"""One-time codes of a telephone app (TOTP, RFC 6238: six digits, 30 s), and recovery codes for when it is lost."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime

import pyotp
import segno

STEP_S = 30
# RFC 6238, 5.2: at most one step for the way here; telephones are a few seconds off.
_STEPS_OFF = (0, -1, 1)
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10  # 80 bits: safe under a fast hash


def new_totp_secret() -> str:
    """160 random bits in base32 (RFC 4226, 4: R6)."""
    return pyotp.random_base32()


def totp_address(secret: str, account: str, site_name: str) -> str:
    """The ``otpauth://`` address that an app reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=f"kaozheng {site_name}")


def totp_picture(address: str) -> str:
    """Its QR code as an SVG element without scripts and styles."""
    return str(segno.make(address, error="m").svg_inline(scale=4, border=3, light="#fff"))


def step_of_code(secret: str, code: str, at: datetime, used: int | None) -> int | None:
    """The time step that ``code`` is of; None where it is wrong, or not newer than the step ``used`` last.

    RFC 6238, 5.2: a code is taken once.
    """
    digits = "".join(code.split())
    if len(digits) != 6 or not (digits.isascii() and digits.isdecimal()):
        return None
    totp = pyotp.TOTP(secret)
    present = int(at.timestamp()) // STEP_S
    for step in (present + off for off in _STEPS_OFF):
        if secrets.compare_digest(totp.generate_otp(step), digits) and (used is None or step > used):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Ten codes such as ``abcd-efgh-ijkl-mnop``, each taken once."""
    texts = (
        base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)
    )
    return ["-".join(text[start : start + 4] for start in range(0, 16, 4)) for text in texts]


def plain_recovery_code(typed: str) -> str:
    """As it is hashed: without blanks and hyphens, in lower case."""
    return "".join(letter for letter in typed.lower() if letter.isalnum())
