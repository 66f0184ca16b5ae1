"""The parts of the verifier put together as the one file that lies in a bag."""

from __future__ import annotations

import ast
import functools
from importlib.resources import files

PACKAGE = "kaozheng_service.disputes.standalone"
PARTS = (
    *("findings", "files", "signature", "printed", "records", "key_changes", "cosignatures", "anchors"),
    *("completeness", "pieces", "moments", "parts", "backfilled", "verify"),
)


@functools.cache
def standalone_verifier() -> str:
    """A program that needs only Python: the parts in order, what they import from each other left out."""
    modules: set[str] = set()
    names: dict[str, set[str]] = {}
    bodies: list[str] = []
    described = ""
    for part in PARTS:
        source = files(PACKAGE).joinpath(f"{part}.py").read_text(encoding="utf-8")
        lines = source.splitlines()
        first, *statements = ast.parse(source).body
        described = "\n".join(lines[: first.end_lineno])
        end = first.end_lineno
        for statement in statements:
            if isinstance(statement, ast.Import):
                modules |= {alias.name for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                if not (module := statement.module or "").startswith((PACKAGE, "__future__")):
                    names.setdefault(module, set()).update(alias.name for alias in statement.names)
            else:
                break
            end = statement.end_lineno
        summary = described.strip('"').split("\n")[0]
        bodies.append(f"# {summary}\n\n" + "\n".join(lines[end:]).strip())
    imports = [f"import {module}" for module in sorted(modules)]
    imports += [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    head = ["#!/usr/bin/env python3", described, "", "from __future__ import annotations", "", *imports]
    return "\n".join(head) + "\n\n\n" + "\n\n\n".join(bodies) + "\n"
