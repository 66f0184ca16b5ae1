"""A cause must last before it is told, and be away for a while before it is over: no flapping."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from kaozheng_service.alarms.kinds import Patience, Subject


@dataclass(slots=True)
class _Seen:
    """``since_s`` is when it last changed between there and away; s of the caller's clock."""

    there: bool
    since_s: float
    told: bool


class Persistence:
    """Which causes are to be told, and which are over. Not for two threads at once.

    Parameters
    ----------
    patience : of each kind
    """

    def __init__(self, patience: Callable[[str], Patience]) -> None:
        self._patience = patience
        self._seen: dict[Subject, _Seen] = {}

    def take_up(self, subjects: Collection[Subject], at_s: float) -> None:
        """These were told by an earlier process and are not over yet."""
        for subject in subjects:
            self._seen[subject] = _Seen(False, at_s, True)

    def update(self, at_s: float, there: Collection[Subject]) -> tuple[list[Subject], list[Subject]]:
        """What is to be told and what is over at ``at_s`` (s of any clock, growing).

        Both are said again at each call until :meth:`told` or :meth:`over` confirms that it was done.
        """
        for subject in there:
            one = self._seen.setdefault(subject, _Seen(True, at_s, False))
            if not one.there:
                one.there, one.since_s = True, at_s
        for subject, one in list(self._seen.items()):
            if one.there and subject not in there:
                one.there, one.since_s = False, at_s
            if not one.there and not one.told:
                del self._seen[subject]
        raised, cleared = [], []
        for subject, one in self._seen.items():
            patience = self._patience(subject.kind)
            if one.there and not one.told and at_s - one.since_s >= patience.raise_s:
                raised.append(subject)
            if not one.there and one.told and at_s - one.since_s >= patience.clear_s:
                cleared.append(subject)
        return raised, cleared

    def told(self, subject: Subject) -> None:
        self._seen[subject].told = True

    def over(self, subject: Subject) -> None:
        del self._seen[subject]
