"""Why something about a case is not done; each says what is needed and who can give it."""

from __future__ import annotations

from collections.abc import Iterable

from kaozheng_service.access.actor import Role
from kaozheng_service.cases.words import role_names
from kaozheng_service.errors import ServiceError


class NotAllowedError(ServiceError):
    """It needs another person, or something first. ``given_by`` are the roles that can give it."""

    def __init__(self, chinese: str, english: str, given_by: Iterable[Role] = ()) -> None:
        self.chinese, self.english, self.given_by = chinese, english, tuple(given_by)
        if self.given_by:
            chinese += f"（可由：{role_names(self.given_by, chinese=True)}）"
            english += f" (can be given by: {role_names(self.given_by, chinese=False)})"
        super().__init__(f"{chinese} · {english}")
