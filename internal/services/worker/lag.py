from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from internal.services.worker.slots import Slots

TICK_S: Final = 0.05
# A pause of the garbage collector or of a busy machine stays below this.
BLOCKED_S: Final = 0.5
WARN_EVERY_S: Final = 10.0
NAMED: Final = 5

_log = logging.getLogger(__name__)


class Lag:
    """Finds out handlers that block: by how late a regular tick of the event loop comes."""

    def __init__(
        self, slots: Slots, lease_ttl: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._slots = slots
        self._ttl_s = lease_ttl.total_seconds()
        self._clock = clock
        self._longest = 0.0
        self._warned = -WARN_EVERY_S

    async def run(self) -> None:
        """Live until canceled."""
        while True:
            due = self._clock() + TICK_S
            await asyncio.sleep(TICK_S)
            self.note(self._clock() - due)

    def note(self, late: float) -> None:
        """A tick came so many seconds late."""
        self._longest = max(self._longest, late)
        now = self._clock()
        if late >= BLOCKED_S and now - self._warned >= WARN_EVERY_S:
            self._warned = now
            self._warn(late, now)

    def take_ms(self) -> int:
        """The longest delay since the last call."""
        longest, self._longest = self._longest, 0.0
        return round(1000 * longest)

    def _warn(self, late: float, now: float) -> None:
        suspects = [each for each in self._slots.recent if each.ran_since(now - late)][:NAMED]
        _log.warning(
            "a handler held up its worker for %.1f s: nothing else ran and no heartbeat was sent;"
            " after %g s all leases of this process are lost. Await what takes long, or declare the"
            " handler without async: then it runs in a thread",
            late,
            self._ttl_s,
            extra={
                "types": sorted({each.type for each in suspects}),
                "job_ids": [str(each.job_id) for each in suspects],
            },
        )
