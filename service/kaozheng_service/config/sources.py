"""A camera's stream with its login, read from where the site file says the password is."""

from __future__ import annotations

import os

from kaozheng_vision.source import Source

from kaozheng_service.config.site import CameraConfig, Site
from kaozheng_service.errors import UserError


def camera_source(site: Site, camera: CameraConfig) -> Source:
    """The stream of ``camera``. Raises UserError where its password cannot be read, without showing it."""
    if camera.credential is None:
        return Source(camera.source)
    entry = site.credential(camera.credential)
    if entry.password_env is not None:
        password = os.environ.get(entry.password_env)
        if password is None:
            raise UserError(
                f"credential {entry.id}: the environment variable {entry.password_env} is not set"
            )
    else:
        path = site.folder / str(entry.password_file)
        try:
            password = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UserError(f"credential {entry.id}: {path} cannot be read: {error.strerror}") from None
    return Source(camera.source, entry.username, password)
