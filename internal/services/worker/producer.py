"""Claims jobs for free slots and starts them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from internal.domain.errors import UnavailableError
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.ports.work import Claims, Finishes
from internal.services.worker.executor import Executor
from internal.services.worker.heart import Heart
from internal.services.worker.slots import Running, Slots

CLAIMED_AT_ONCE: Final = 200
POLL_S: Final = 1.0
# Jobs are there, but another claim holds them just now: it takes a few milliseconds.
LOCKED_PAUSE_S: Final = 0.005
LOCKED_LOOKS: Final = 20
# Slots that come free within this time are filled by one claim; an idle worker does not wait.
GATHER_S: Final = 0.001

_log = logging.getLogger(__name__)


class Producer:
    """Wakes at once when a job arrives; without the wake-up it finds it by polling."""

    def __init__(
        self,
        claims: Claims,
        finishes: Finishes,
        heart: Heart,
        slots: Slots,
        executor: Executor,
        routes: Sequence[str],
    ) -> None:
        self._claims = claims
        self._finishes = finishes
        self._heart = heart
        self._slots = slots
        self._executor = executor
        self._routes = routes
        self._stopping = False

    def stop(self) -> None:
        """Claim nothing more; a claim under way is handed back."""
        self._stopping = True
        self._slots.freed.set()

    async def run(self, wakeups: Wakeups) -> None:
        """Live until stopped."""
        locked = 0
        with wakeups.subscribe(self._slots.freed.set, Topic.READY):
            while not self._stopping:
                self._slots.freed.clear()
                claimed = await self.run_once()
                if claimed is None:
                    await self._wait(POLL_S)
                elif claimed == 0 and locked < LOCKED_LOOKS and await self._is_waiting():
                    locked += 1
                    await asyncio.sleep(LOCKED_PAUSE_S)
                else:
                    locked = 0
                    if claimed == 0 or self._slots.free <= 0:
                        await self._wait(POLL_S)

    async def run_once(self) -> int | None:
        """Fill the free slots; how many were filled, None when that was not possible now."""
        if self._slots.free <= 0:
            return None
        try:
            identity = self._slots.current or await self._heart.begin()
            limit = min(self._slots.free, CLAIMED_AT_ONCE)
            jobs = await self._claims.claim(identity.id, self._routes, limit)
            if self._stopping or identity is not self._slots.current:
                await self._finishes.hand_back([(Running(job).lease, job.attempts) for job in jobs])
                return None
        except UnavailableError as error:
            _log.warning("claiming waits for the database", extra={"error": str(error)})
            self._slots.retire()
            return None
        except Exception:  # noqa: BLE001 - the producer outlives whatever one claim meets
            _log.exception("a claim failed, it is tried again")
            self._slots.retire()
            return None
        for job in jobs:
            self._executor.start(identity, Running(job))
        return len(jobs)

    async def _is_waiting(self) -> bool:
        try:
            return await self._claims.is_waiting(self._routes)
        except UnavailableError:
            return False

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._slots.freed.wait()
                if self._slots.running:
                    await asyncio.sleep(GATHER_S)
        except TimeoutError:
            pass
