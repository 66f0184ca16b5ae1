"""`kaozheng decrypt`: open an export that was encrypted, and ask for passphrases."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from kaozheng_service.errors import UserError

# Whoever has the file can try for years: NIST SP 800-63B-4 asks 15 characters of a password that protects alone.
_SHORTEST = 15


def decrypt(
    path: Annotated[Path, typer.Argument(help="the encrypted export, *.tar.age")],
    out: Annotated[Path | None, typer.Option(help="folder to make; beside the file when left out")] = None,
    identity: Annotated[
        list[Path] | None,
        typer.Option("--identity", "-i", help="file with your private key; may be given again"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")] = False,
) -> None:
    """Open an encrypted export. Without --identity the passphrase is asked for, or read from standard input."""
    from kaozheng_service.disputes.encrypted import SUFFIX, decrypt_folder, read_identities

    folder = out or path.with_name(path.name.removesuffix(SUFFIX))
    keys = [key for file in identity or [] for key in read_identities(file)]
    made = decrypt_folder(path, folder, keys, None if identity else _ask("口令 / passphrase: "))
    if as_json:
        typer.echo(
            json.dumps({"schema": "kaozheng/decrypt/1", "path": str(made)}, ensure_ascii=False, indent=2)
        )
        return
    typer.echo(f"{made}: opened; check it with: python {made}/verify.py")


def new_passphrase() -> str:
    """Ask twice for a new one. UserError if it is short, or the two differ."""
    first = _ask("口令 / passphrase: ")
    if len(first) < _SHORTEST:
        raise UserError(f"the passphrase is shorter than {_SHORTEST} characters; a few random words are best")
    if sys.stdin.isatty() and _ask("再输一次 / again: ") != first:
        raise UserError("the two passphrases differ; nothing was exported")
    return first


def _ask(prompt: str) -> str:
    """From the terminal, unseen; else the first line of standard input, for programs."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\n")
