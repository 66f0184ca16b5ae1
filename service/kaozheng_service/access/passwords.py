"""Passwords: which are taken, how they are kept, and an answer that costs the same for an account there is not."""

from __future__ import annotations

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kaozheng_service.errors import UserError

# NIST SP 800-63B, 5.1.1.2: at least 8 characters, long ones taken, no rules of composition, compared with a list of
# common ones and with the names of service and account. Ten, because a second factor is optional.
SHORTEST, LONGEST = 10, 256
FEWEST_DIFFERENT = 5
_COMMON = (
    "1234567890 0123456789 0987654321 9876543210 12345678910 123456789a 1234567890a a123456789 abcdefghij "
    "qwertyuiop asdfghjkl1 qwerty1234 qwerty12345 qwert12345 1q2w3e4r5t 1qaz2wsx3edc 1qaz@wsx3edc password12 "
    "password123 password1234 passw0rd123 p@ssw0rd123 admin12345 admin123456 administrator iloveyou123 "
    "woaini1314 woaini520520 5201314520 11223344556 1122334455 147258369a zhimakaimen"
)
_NAMES = ("kaozheng", "考证")

# RFC 9106's second recommended setting (64 MiB, 3 passes), the library's own default.
_hasher = PasswordHasher()


def refuse_weak(password: str, names: tuple[str, ...]) -> None:
    """UserError saying why ``password`` is not taken.

    Parameters
    ----------
    names : of account, person and site; what is left without them must be long enough
    """
    text = _normal(password)
    if len(text) < SHORTEST:
        raise UserError(
            f"密码不足{SHORTEST}个字符 · the password has {len(text)} characters; take at least {SHORTEST}"
        )
    if len(text) > LONGEST:
        raise UserError(f"密码过长 · the password is longer than {LONGEST} characters; take a shorter one")
    folded = text.casefold()
    if folded in _COMMON.split() or len(set(folded)) < FEWEST_DIFFERENT:
        raise UserError("密码太常见 · this password is among the first that are tried; take another")
    for name in sorted({_normal(one).casefold() for one in (*names, *_NAMES)}, key=len, reverse=True):
        if len(name) > 1:
            folded = folded.replace(name, "")
    if len(folded) < SHORTEST:
        raise UserError(
            f"密码主要由账号、姓名或考点名构成 · without the names of account and site the password has "
            f"{len(folded)} characters; at least {SHORTEST} are needed"
        )


def hash_password(password: str) -> str:
    """Argon2id with its parameters and a random salt, as one text."""
    return _hasher.hash(_normal(password))


def is_password(stored: str | None, password: str) -> bool:
    """Whether ``password`` is the one of ``stored``; as slow where there is none."""
    try:
        return _hasher.verify(stored or _nobodys(), _normal(password[: LONGEST * 4])) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Whether it was hashed with weaker settings than today's."""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobodys() -> str:
    return _hasher.hash("nobody's password")


def _normal(text: str) -> str:
    """One text however a keyboard composes it (NIST SP 800-63B, 5.1.1.2: NFKC or NFKD before hashing)."""
    return unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode("utf-8"))
