"""Which configuration the service works by, signed into the log whenever it is another than before."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kaozheng_service.clock import now
from kaozheng_service.config.site import Site
from kaozheng_service.evidence.canonical import canonical
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.records import ConfigurationEffective
from kaozheng_service.recording.durable import write_durably
from kaozheng_service.redaction import redacted

CONFIGURATIONS = "configurations"
_LAST = "last.json"
# Logins, where they are kept, and the addresses of webhooks, which are often secret by themselves.
_LEFT_OUT = ("credentials", "credential", "username", "webhooks")


def effective_text(site: Site) -> bytes:
    """What the site file means, defaults filled in, without logins, as canonical JSON."""
    return canonical(_without_logins(site.model_dump(mode="json", by_alias=True)))


def note_configuration(site: Site, log: EvidenceLog, state: Path) -> int:
    """Sign which configuration is in force, unless the last such record says the same; the record's index.

    What the hash is of is kept in the state folder, and never written over.
    """
    text = effective_text(site)
    digest, program = hashlib.sha256(text).hexdigest(), version("kaozheng")
    folder = state / CONFIGURATIONS
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{digest}.json").exists():
        write_durably(folder / f"{digest}.json", text.decode())
    last = _last(log, folder / _LAST)
    signed = {"file_sha256": site.file_sha256, "effective_sha256": digest, "version": program}
    if last is not None and {name: last[1].get(name) for name in signed} == signed:
        return last[0]
    leaf = log.append(ConfigurationEffective(at=now(), **signed))
    write_durably(folder / _LAST, json.dumps({"leaf": leaf}) + "\n")
    return leaf


def _last(log: EvidenceLog, note: Path) -> tuple[int, dict[str, Any]] | None:
    """The record that the note names; a note that is lost or wrong costs one record more."""
    try:
        leaf = json.loads(note.read_text(encoding="utf-8"))["leaf"]
        body = json.loads(log.entry(leaf))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return (leaf, body) if body.get("kind") == ConfigurationEffective.kind else None


def _without_logins(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if not _is_login(str(name))}
        return {name: _without_logins(one) for name, one in kept.items()}
    if isinstance(value, list):
        return [_without_logins(one) for one in value]
    return redacted(value) if isinstance(value, str) else value


def _is_login(name: str) -> bool:
    return name in _LEFT_OUT or name.endswith(("_env", "_file"))
