"""Passwords and keys, read from where the site file says they are; what was read is known to the log's filter."""

from __future__ import annotations

import os
from pathlib import Path

from kaozheng_service.errors import UserError

# Everything that was read, so that it can be struck from whatever is written to the log.
_known: set[str] = set()


def read_secret(what: str, folder: Path, *, env: str | None, file: Path | None) -> str:
    """The value of the environment variable ``env``, or what the file holds, less the blanks around it.

    Parameters
    ----------
    what : names it in messages, such as ``credential hall``
    folder : where relative paths start from

    Raises
    ------
    UserError : it is not set or cannot be read; the message shows none of it
    """
    if env is not None:
        secret = os.environ.get(env)
        if secret is None:
            raise UserError(f"{what}: the environment variable {env} is not set")
    else:
        path = folder / str(file)
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UserError(f"{what}: {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError(f"{what}: {path} is not UTF-8 text") from None
    if secret:
        _known.add(secret)
    return secret


def known_secrets() -> list[str]:
    """All that were read so far, the longest first."""
    return sorted(_known, key=len, reverse=True)
