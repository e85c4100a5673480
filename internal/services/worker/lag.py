from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

TICK_S: Final = 0.05


class Lag:
    """How late a regular tick of the event loop comes; read from other threads as well."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._longest = 0.0
        self.ticked = clock()

    async def run(self) -> None:
        """Live until canceled."""
        while True:
            self.ticked = self._clock()
            await asyncio.sleep(TICK_S)
            self.note(self._clock() - self.ticked - TICK_S)

    def note(self, late: float) -> None:
        """A tick came so many seconds late."""
        self._longest = max(self._longest, late)

    def take_ms(self) -> int:
        """The longest delay since the last call, a delay that still lasts included."""
        longest, self._longest = self._longest, 0.0
        return round(1000 * max(longest, self._clock() - self.ticked - TICK_S, 0))
