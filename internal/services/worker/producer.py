"""Claims jobs ahead of the slots that come free, and starts them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

from internal.domain.errors import UnavailableError
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.ports.work import ClaimedJob, Claims
from internal.services.worker.completer import Completer
from internal.services.worker.executor import Executor
from internal.services.worker.heart import Heart
from internal.services.worker.slots import Slots

CLAIMED_AT_ONCE: Final = 2_000
BUFFERED: Final = 5_000
POLL_S: Final = 1.0
# Jobs are there, but another claim holds them just now: it takes a few milliseconds.
LOCKED_PAUSE_S: Final = 0.005
LOCKED_LOOKS: Final = 20
# Slots that come free within this time are filled by one claim; an idle worker does not wait.
GATHER_S: Final = 0.001
# What could not start for so long goes back: another process may have a slot for it.
STALE_S: Final = 1.0

_log = logging.getLogger(__name__)


class Producer:
    """Wakes at once when a job arrives; without the wake-up it finds it by polling."""

    def __init__(
        self,
        claims: Claims,
        heart: Heart,
        slots: Slots,
        executor: Executor,
        completer: Completer,
        routes: Sequence[str],
    ) -> None:
        self._claims = claims
        self._heart = heart
        self._slots = slots
        self._executor = executor
        self._completer = completer
        self._routes = routes
        self._due = asyncio.Event()
        # With fewer buffered jobs than this it is time for the next claim.
        self._low = 0
        # Nothing waits in the queue: until there is news, a free slot is no reason to claim.
        self._dry = False
        self._locked = 0
        self._stopping = False
        # Why the last claim found no database, None when it did.
        self._waits_for: str | None = None
        slots.freed = self._refill

    def stop(self) -> None:
        """Claim nothing more; what has not started is handed back, also of a claim under way."""
        self._stopping = True
        self._hand_back_older_than(0)
        self._due.set()

    async def run(self, wakeups: Wakeups) -> None:
        """Live until stopped."""
        with wakeups.subscribe(self._due.set, Topic.READY):
            while not self._stopping:
                self._due.clear()
                self._dry = False
                pause = await self.run_once()
                if pause:
                    await self._wait(pause)

    async def run_once(self) -> float:
        """Claim as far as there is room; the seconds until the next look, zero if more waits."""
        self._hand_back_older_than(STALE_S)
        limit, passed_over = self._wanted()
        if limit <= 0 or not await self._is_all_recorded():
            return POLL_S
        jobs = await self._claim(limit, passed_over)
        if jobs is None:
            return POLL_S
        self._fill()
        if len(jobs) == limit:
            return 0
        self._locked = 0 if jobs else self._locked
        return await self._look(passed_over)

    async def _is_all_recorded(self) -> bool:
        """For an isolated worker, whether no earlier job would be lost with the next one."""
        if not self._slots.is_alone:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._completer.drained()
                return True
        return False

    def _wanted(self) -> tuple[int, list[UUID]]:
        """How many jobs, and of whom none: while only the reserve is free, of who runs a lot."""
        free, buffered = self._slots.free, len(self._slots.buffer)
        open_to_all = max(0, free - self._slots.buffer.reserved)
        ahead = 0 if self._slots.is_alone else min(self._slots.pace.expected(), BUFFERED)
        self._low = ahead // 2
        if buffered <= self._low and open_to_all + ahead > buffered:
            return min(open_to_all + ahead - buffered, CLAIMED_AT_ONCE), []
        if free > 0 and not ahead:
            return free, self._slots.buffer.above_share()
        return 0, []

    async def _claim(self, limit: int, passed_over: Sequence[UUID]) -> list[ClaimedJob] | None:
        """Buffer a claim's jobs; None when it came to nothing."""
        try:
            identity = self._slots.current or await self._heart.begin()
            jobs = await self._claims.claim(identity.id, self._routes, limit, passed_over)
        except UnavailableError as error:
            if error.reason != self._waits_for:
                _log.warning("claiming waits for the database", extra={"reason": error.reason})
            self._waits_for = error.reason
            self._heart.retire()
            return None
        except Exception:  # noqa: BLE001 - the producer outlives whatever one claim meets
            _log.exception("a claim failed, it is tried again")
            self._heart.retire()
            return None
        self._waits_for = None
        if self._stopping or identity is not self._slots.current:
            self._completer.hand_back((job.lease, job.attempts) for job in jobs)
            return None
        self._slots.buffer.put(identity, jobs)
        return jobs

    def _fill(self) -> None:
        """Start what may start now."""
        while running := self._slots.buffer.pop(self._slots.free):
            self._executor.start(running)

    def _refill(self) -> None:
        """A slot came free: use it, and see to it that there will be something for the next."""
        self._fill()
        if len(self._slots.buffer) <= self._low and not self._dry:
            self._due.set()

    async def _look(self, passed_over: Sequence[UUID]) -> float:
        """After a claim that found too few: jobs may be there that another claim has locked."""
        if self._locked < LOCKED_LOOKS and await self._is_waiting(passed_over):
            self._locked += 1
            await asyncio.sleep(LOCKED_PAUSE_S)
            return 0
        self._dry = not self._locked and not passed_over
        self._locked = 0
        return POLL_S

    async def _is_waiting(self, passed_over: Sequence[UUID]) -> bool:
        try:
            return await self._claims.is_waiting(self._routes, passed_over)
        except UnavailableError:
            return False
        except Exception:  # noqa: BLE001 - as with a claim
            _log.exception("looking for locked jobs failed")
            return False

    def _hand_back_older_than(self, seconds: float) -> None:
        stale = self._slots.buffer.take_older_than(seconds)
        self._completer.hand_back((each.lease, each.attempts) for each in stale)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._due.wait()
                if self._slots.running:
                    await asyncio.sleep(GATHER_S)
        except TimeoutError:
            pass
