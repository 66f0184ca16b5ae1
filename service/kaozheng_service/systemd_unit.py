"""The systemd unit of one site, filled in."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from kaozheng_service.config.site import Site
from kaozheng_service.errors import UserError

_UNIT = Path(__file__).with_name("systemd") / "kaozheng.service"
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def unit_text(site: Site, site_file: Path, *, user: str, command: Path | None = None) -> str:
    """The unit's text.

    Parameters
    ----------
    user : whom the service runs as; not root
    command : the ``kaozheng`` that it starts; the one beside this Python when left out

    Raises
    ------
    UserError : a name that a unit cannot hold
    """
    if _USER.fullmatch(user) is None or user == "root":
        raise UserError(f"--user {user!r}: name an account of its own, not root: useradd --system kaozheng")
    command = command or Path(sys.executable).with_name("kaozheng")
    values = {
        "SITE_ID": site.id,
        "DOCS": _path(Path(__file__).resolve().parents[2] / "docs" / "operations.md"),
        "COMMAND": _path(command.absolute()),
        "SITE": _path(site_file.resolve()),
        "FOLDER": _path(site.folder),
        "ARCHIVE": _path(site.archive.resolve()),
        "STATE": _path(site.state.resolve()),
        # A disk that is not there must not keep the service from its start: hence the dash.
        "SECOND": f" -{_path(site.second.resolve())}" if site.second is not None else "",
        "USER": user,
    }
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], _UNIT.read_text(encoding="utf-8"))


def _path(path: Path) -> str:
    """As a unit writes it: `%` begins a specifier, blanks part names."""
    text = str(path)
    if re.search(r"[\s\"'\\$;]", text):
        raise UserError(
            f"{text}: a unit cannot hold this path; move it to one without blanks, quotes and backslashes"
        )
    return text.replace("%", "%%")
