"""How fast news are passed on, and requests taken."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final
from uuid import UUID

# A user whose jobs change faster is told to read again this often.
RESYNC_EVERY_S: Final = 1.0


class Allowance:
    """Lets so many events through in a second, and so many at once; a token bucket."""

    def __init__(self, per_s: float, at_once: int) -> None:
        self._per_s = per_s
        self._at_once = at_once
        self._left = float(at_once)
        self._at = -math.inf

    def allows(self, events: int, now: float) -> bool:
        """Take them out of what is left, or leave it to those who want less."""
        self._left = self.left(now)
        self._at = now
        if events > self._left:
            return False
        self._left -= events
        return True

    def left(self, now: float) -> float:
        """What may be taken at once by now."""
        return min(self._at_once, self._left + (now - self._at) * self._per_s)


class Resyncs:
    """Whom to tell that they should read the list again: often enough, and never too early."""

    def __init__(self) -> None:
        self._due: dict[UUID, float] = {}
        self._told: dict[UUID, float] = {}

    def ask(self, user_ids: Iterable[UUID]) -> None:
        """Have each of them told: at once, unless they were told within the last second."""
        for user_id in user_ids:
            self._due.setdefault(user_id, self._told.get(user_id, -math.inf) + RESYNC_EVERY_S)

    def take(self, now: float) -> list[UUID]:
        """Those who are to be told now."""
        users = [user_id for user_id, due in self._due.items() if due <= now]
        for user_id in users:
            del self._due[user_id]
        recent = {each: at for each, at in self._told.items() if at > now - RESYNC_EVERY_S}
        self._told = recent | dict.fromkeys(users, now)
        return users

    def next_in(self, now: float) -> float | None:
        """Seconds until somebody is to be told, None when nobody is."""
        return min(self._due.values(), default=math.inf) - now if self._due else None
