from __future__ import annotations

import asyncio
import time
from typing import Final

from internal.services.worker.slots import Slots

# An attempt's time runs out up to this much late. A timer for each would cost 2 microseconds.
LOOK_EVERY_S: Final = 0.02


class Deadlines:
    """Stops attempts whose time is up."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    async def run(self) -> None:
        """Live until canceled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.run_once()

    def run_once(self) -> None:
        """Look at all that runs."""
        now = time.monotonic()
        for running in self._slots.running:
            if running.deadline <= now:
                running.time_out()
