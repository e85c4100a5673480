"""Records the ends of attempts, many together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.errors import TimedOutError
from internal.domain.jobs import Outcome, Settlement, Status
from internal.domain.ports.work import Finish, Finishes, Lease
from internal.services.worker.persistence import persist

FLUSHED_AT_ONCE: Final = 2_000
# 500 results of a megabyte take a fast server 10 seconds: a slow one would never be done in time.
FLUSHED_CHARS: Final = 8 * 1024 * 1024
# What a log line counts besides its text: 2,000 short ones take as long as a megabyte of results.
LINE_CHARS: Final = 500
# Executors wait when this many ends are not recorded yet.
MAX_PENDING: Final = 5_000
# How often an end that takes too long by itself is tried before the others have their turn.
TRIES_ALONE: Final = 2

_log = logging.getLogger(__name__)


class Completer:
    """Flushes ends as they come; while the database is away it keeps them and tries again.

    A lone end is flushed at once; those that come meanwhile are the next flush. Plain successes are
    flushed by themselves, since nearly all ends are such and the store records them with less work.
    """

    def __init__(self, finishes: Finishes) -> None:
        self._finishes = finishes
        self._succeeded: list[Finish] = []
        self._others: list[Finish] = []
        # By the route that they go on by.
        self._unstarted: dict[str | None, list[tuple[Lease, int]]] = {}
        self._let_go: list[Lease] = []
        self._in_flight: list[Lease] = []
        self._arrived = asyncio.Event()
        self._flushed = asyncio.Condition()

    @property
    def unrecorded(self) -> set[UUID]:
        """The jobs that were handed over and may not be recorded yet."""
        ends = (end.lease for end in (*self._succeeded, *self._others))
        unstarted = (lease for leases in self._unstarted.values() for lease, _ in leases)
        return {lease.job_id for leases in (self._in_flight, ends, unstarted) for lease in leases}

    @property
    def has_room(self) -> bool:
        """Whether `put` would not wait."""
        return len(self._succeeded) + len(self._others) < MAX_PENDING

    async def put(self, end: Finish) -> None:
        """Hand over an end; waits while too many are pending."""
        if not self.has_room:
            async with self._flushed:
                await self._flushed.wait_for(lambda: self.has_room)
        self.put_last(end)

    def put_last(self, end: Finish) -> None:
        """Hand over an end without waiting, for an executor that is being stopped."""
        is_plain = end.outcome is Outcome.SUCCEEDED and not end.is_held
        lane = self._succeeded if is_plain else self._others
        lane.append(end)
        self._arrived.set()

    def hand_back(self, leases: Iterable[tuple[Lease, int]], route: str | None = None) -> None:
        """Hand over jobs that were never started, each with its `attempts` as claimed."""
        if unstarted := list(leases):
            self._unstarted.setdefault(route, []).extend(unstarted)
            self._arrived.set()

    def let_go(self, lease: Lease) -> None:
        """Hand over what its attempt's work held, now that it has ended."""
        self._let_go.append(lease)
        self._arrived.set()

    async def drained(self) -> None:
        """Wait until everything handed over is recorded."""
        async with self._flushed:
            await self._flushed.wait_for(lambda: not self._arrived.is_set() and not self._in_flight)

    async def run(self) -> None:
        """Live until canceled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(0)  # the others that end in this turn of the loop come along
            await self.run_once()

    async def run_once(self) -> None:
        """Record what is pending: one flush of each kind, in order."""
        succeeded, self._succeeded = _cut(self._succeeded)
        others, self._others = _cut(self._others)
        unstarted, self._unstarted = self._unstarted, {}
        self._in_flight = [
            *(end.lease for end in (*succeeded, *others)),
            *(lease for leases in unstarted.values() for lease, _ in leases),
        ]
        # Not before the ends by which they are held.
        let_go: list[Lease] = []
        if not self._others:
            let_go, self._let_go = self._let_go, []
        if not self._succeeded and not self._others:
            self._arrived.clear()
        for ends in (succeeded, others):
            if ends:
                await self._write_lines(ends)
                await self._flush(ends)
        for route, leases in unstarted.items():
            await self._return(leases, route)
        if let_go:
            await self._free(let_go)
        self._in_flight = []
        async with self._flushed:
            self._flushed.notify_all()

    async def _write_lines(self, ends: Sequence[Finish]) -> None:
        """What the attempts logged last; before their ends, since it takes their leases."""
        lines = {end.lease: end.lines for end in ends if end.lines}
        if not lines:
            return

        async def write() -> None:
            await self._finishes.log(lines)

        try:
            await persist(write, what="log lines", number=len(lines))
        except Exception:  # noqa: BLE001 - how the attempts ended counts more
            _log.exception("log lines are given up", extra={"jobs": len(lines)})

    async def _flush(self, ends: Sequence[Finish]) -> None:
        """Record them, in smaller parts while the database takes too long for larger ones."""
        rest, size = list(ends), len(ends)
        while rest:
            part = rest[:size]
            try:
                await self._persist(part)
            except TimedOutError:
                if len(part) > 1:
                    size = len(part) // 2
                    continue
                self._put_off(part[0])
            except Exception:  # noqa: BLE001 - whatever one end's data did to the statement
                await self._split(part)
            del rest[: len(part)]
            size = min(2 * size, max(1, len(rest)))

    async def _persist(self, ends: Sequence[Finish]) -> None:
        """Give up what takes too long: at once where it can be parted, else after a second try."""
        timeouts = 1 if len(ends) > 1 else TRIES_ALONE
        record = partial(self._record, ends)
        await persist(record, what="ends", number=len(ends), timeouts=timeouts)

    async def _split(self, ends: Sequence[Finish]) -> None:
        """Where an end is refused none is recorded: halve, until it stands alone."""
        if len(ends) == 1:
            await self._flush_bare(ends[0])
            return
        half = len(ends) // 2
        await self._flush(ends[:half])
        await self._flush(ends[half:])

    def _put_off(self, end: Finish) -> None:
        """Let the others go first: it may wait for what another session has locked."""
        self.put_last(end)

    async def _flush_bare(self, end: Finish) -> None:
        job = {"job_id": str(end.lease.job_id)}
        _log.exception("an end was refused", extra=job)
        try:
            await self._persist([_bare(end)])
        except TimedOutError:
            self._put_off(end)
        except Exception:  # noqa: BLE001 - the completer outlives it
            _log.exception("an end is given up: its job runs until this process ends", extra=job)

    async def _record(self, ends: Sequence[Finish]) -> None:
        for job_id in await self._finishes.finish(ends):
            _log.info("an end came too late, its lease was lost", extra={"job_id": str(job_id)})

    async def _return(self, unstarted: Sequence[tuple[Lease, int]], route: str | None) -> None:
        try:
            await persist(
                lambda: self._finishes.hand_back(unstarted, route),
                what="claimed jobs",
                number=len(unstarted),
            )
        except Exception:  # noqa: BLE001 - the completer outlives it
            _log.exception("claimed jobs could not be handed back: they wait until this name ends")

    async def _free(self, leases: Sequence[Lease]) -> None:
        try:
            await persist(lambda: self._finishes.let_go(leases), what="places", number=len(leases))
        except Exception:  # noqa: BLE001 - the completer outlives it
            _log.exception("places could not be let go: they are taken until this process ends")


def _cut(pending: list[Finish]) -> tuple[list[Finish], list[Finish]]:
    """What goes into the next flush, at least one, and what stays."""
    cut, room = FLUSHED_AT_ONCE, FLUSHED_CHARS
    for number, end in enumerate(pending[:FLUSHED_AT_ONCE]):
        room -= len(end.result or "")
        if end.lines:
            room -= sum(LINE_CHARS + len(line.text) for line in end.lines)
        if room < 0:
            cut = max(1, number)
            break
    return pending[:cut], pending[cut:]


def _bare(end: Finish) -> Finish:
    failed = Settlement(Status.FAILED, max(1, end.settlement.attempts))
    return msgspec.structs.replace(
        end,
        outcome=Outcome.FAILED,
        settlement=failed,
        result=None,
        error="the attempt's result or error could not be stored",
        failure=None,
    )
