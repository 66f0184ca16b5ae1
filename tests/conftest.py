"""What every test may ask for."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

# On a submission the same examples every time: what a run of the day's luck finds is found where it can be mended.
settings.register_profile("submission", derandomize=True, deadline=None)
if os.environ.get("CI") == "true":
    settings.load_profile("submission")


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def small_archives() -> ModuleType:
    """The module ``tests/small_archive.py``."""
    spec = importlib.util.spec_from_file_location(
        "small_archive", Path(__file__).with_name("small_archive.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["small_archive"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def h264_segments(small_archives: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five real segments of 2 s, H.264."""
    segments: list[Path] = small_archives.make_segments(tmp_path_factory.mktemp("media"), 5)
    return segments


@pytest.fixture
def small_archive(small_archives: ModuleType, h264_segments: list[Path], tmp_path: Path) -> Any:
    """The demo site with an empty archive, to be filled with real segments: ``tests/small_archive.py``."""
    return small_archives.SmallArchive.make(tmp_path, h264_segments)


@pytest.fixture(scope="session")
def spoilt_clips() -> ModuleType:
    """The module ``tests/spoilt_clip.py``."""
    path = Path(__file__).with_name("spoilt_clip.py")
    spec = importlib.util.spec_from_file_location("spoilt_clip", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["spoilt_clip"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sign_in() -> Callable[..., Any]:
    """``sign_in(client, station, role="centre")``: from now on the client's requests are of an account of that role.

    Returns the client. The account has the role's name; its sign-in is made without the page, which has its own tests.
    """
    from kaozheng_service.access.accounts import add_account, list_accounts
    from kaozheng_service.access.actor import Role
    from kaozheng_service.access.secrets import form_key
    from kaozheng_service.access.sign_ins import begin_sign_in
    from kaozheng_service.clock import now

    def signed_in(client: Any, station: Any, role: str = "centre") -> Any:
        if role not in {one.account for one in list_accounts(station)}:
            add_account(station, role, f"王{role}", Role(role), password=None, by="test")
        secret = begin_sign_in(station, role, now())
        client.cookies.set("kaozheng", secret)
        client.headers["X-Form-Key"] = form_key(secret)
        return client

    return signed_in
