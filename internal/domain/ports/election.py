"""Which process does what one is enough for."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol


class Leadership(Protocol):
    """One holder at a time, for as long as it renews."""

    async def lead(self, holder: str, ttl: timedelta, *, wait: timedelta) -> bool:
        """Take the leadership if it is free, or renew one's own; whether it is the holder's now.

        Free: never held, its holder is known to be dead, or it was not renewed for its `ttl` and
        `wait` more.
        """

    async def resign(self, holder: str, *, wait: timedelta) -> None:
        """Let go of it, free at once for those who `wait` as long; nothing if it is another's."""
