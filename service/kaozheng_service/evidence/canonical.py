"""The one byte form of a record: RFC 8785 canonical JSON."""

from __future__ import annotations

from typing import Any

import rfc8785


def canonical(body: dict[str, Any]) -> bytes:
    """``body`` as RFC 8785 canonical JSON, UTF-8, on one line; ValueError for what JSON cannot say exactly."""
    return rfc8785.dumps(body)
