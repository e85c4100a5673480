"""Records the ends of attempts, many together."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.errors import UnavailableError
from internal.domain.jobs import Outcome, Settlement, Status
from internal.domain.ports.work import Finish, Finishes

FLUSHED_AT_ONCE: Final = 500
# 500 results of a megabyte take a fast server 10 seconds: a slow one would never be done in time.
FLUSHED_CHARS: Final = 8 * 1024 * 1024
# Executors wait when this many ends are not recorded yet.
MAX_PENDING: Final = 5_000
GATHER_S: Final = 0.001
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0

_log = logging.getLogger(__name__)


class Completer:
    """Flushes ends as they come; while the database is away it keeps them and tries again."""

    def __init__(self, finishes: Finishes) -> None:
        self._finishes = finishes
        self._pending: list[tuple[float, Finish]] = []
        self._arrived = asyncio.Event()
        self._flushed = asyncio.Condition()
        self._in_flight: list[tuple[float, Finish]] = []

    @property
    def unrecorded(self) -> set[UUID]:
        """The jobs whose ends were handed over and may not be recorded yet."""
        return {end.lease.job_id for _, end in (*self._in_flight, *self._pending)}

    async def put(self, end: Finish) -> None:
        """Hand over an end; waits while too many are pending."""
        if len(self._pending) >= MAX_PENDING:
            async with self._flushed:
                await self._flushed.wait_for(lambda: len(self._pending) < MAX_PENDING)
        self.put_last(end)

    def put_last(self, end: Finish) -> None:
        """Hand over an end without waiting, for an executor that is being stopped."""
        self._pending.append((time.monotonic(), end))
        self._arrived.set()

    async def drained(self) -> None:
        """Wait until everything handed over is recorded."""
        async with self._flushed:
            await self._flushed.wait_for(lambda: not self._pending and not self._in_flight)

    async def run(self) -> None:
        """Live until canceled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(GATHER_S)
            await self.run_once()

    async def run_once(self) -> None:
        """Record what is pending, in order, as often as it takes."""
        cut = _cut(self._pending)
        batch, self._pending = self._pending[:cut], self._pending[cut:]
        self._in_flight = batch
        if not self._pending:
            self._arrived.clear()
        await self._flush(batch)
        self._in_flight = []
        async with self._flushed:
            self._flushed.notify_all()

    async def _flush(self, batch: list[tuple[float, Finish]]) -> None:
        """Where an end is refused none is recorded: try each alone, then without its data."""
        try:
            await self._record(batch)
        except Exception:  # noqa: BLE001 - whatever one end's data did to the statement
            if len(batch) > 1:
                for each in batch:
                    await self._flush([each])
                return
            since, end = batch[0]
            job = {"job_id": str(end.lease.job_id)}
            _log.exception("an end was refused", extra=job)
            try:
                await self._record([(since, _bare(end))])
            except Exception:  # noqa: BLE001 - the completer outlives it
                _log.exception(
                    "an end is given up: its job runs until this process ends", extra=job
                )

    async def _record(self, batch: list[tuple[float, Finish]]) -> None:
        """One flush, tried again for as long as the database is away."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._record_now([_aged(*each) for each in batch])
            except UnavailableError as error:
                _log.warning("ends wait for the database", extra={"error": str(error)})
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                return

    async def _record_now(self, ends: list[Finish]) -> None:
        recorded = await self._finishes.finish(ends)
        for end in ends:
            if end.lease.job_id not in recorded:
                job = {"job_id": str(end.lease.job_id), "token": end.lease.token}
                _log.info("an end came too late, its lease was lost", extra=job)


def _cut(pending: list[tuple[float, Finish]]) -> int:
    """How many ends go into the next flush, at least one."""
    room = FLUSHED_CHARS
    for number, (_, end) in enumerate(pending[:FLUSHED_AT_ONCE]):
        room -= len(end.result or "")
        if room < 0:
            return max(1, number)
    return FLUSHED_AT_ONCE


def _aged(since: float, end: Finish) -> Finish:
    waited = timedelta(seconds=time.monotonic() - since)
    return msgspec.structs.replace(
        end, started_ago=end.started_ago + waited, ended_ago=end.ended_ago + waited
    )


def _bare(end: Finish) -> Finish:
    failed = Settlement(Status.FAILED, max(1, end.settlement.attempts))
    return msgspec.structs.replace(
        end,
        outcome=Outcome.FAILED,
        settlement=failed,
        result=None,
        error="the attempt's result or error could not be stored",
    )
