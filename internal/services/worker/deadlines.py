from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from internal.services.worker.executor import Executor
from internal.services.worker.slots import Slots

# An attempt's time runs out up to this much late. A timer for each would cost 2 microseconds.
LOOK_EVERY_S: Final = 0.02


class Deadlines:
    """Stops attempts whose time is up, and gives up those that do not stop."""

    def __init__(self, slots: Slots, executor: Executor) -> None:
        self._slots = slots
        self._executor = executor

    async def run(self) -> None:
        """Live until canceled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.run_once()

    def run_once(self) -> None:
        """Look at all that runs."""
        now = monotonic()
        for running in [each for each in self._slots.running if each.deadline <= now]:
            if running.was_told:
                self._executor.abandon(running)
            else:
                running.time_out()
