"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest


@pytest.fixture
def need() -> Callable[[bool, str], None]:
    """``need(condition, how_to_get_it)``: skips a test whose real part is missing, and fails it where CI=true."""

    def check(condition: bool, how_to_get_it: str) -> None:
        if condition:
            return
        if os.environ.get("CI") == "true":
            pytest.fail(f"needs {how_to_get_it}")
        skip = pytest.skip
        skip(f"needs {how_to_get_it}")

    return check
