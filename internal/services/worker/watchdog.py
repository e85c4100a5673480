"""Watches the event loop from another thread, and ends the process when a handler holds it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final
from uuid import UUID

from internal.domain.handlers import Handler
from internal.services.worker.culprit import Sight, look_at_loop
from internal.services.worker.lag import Lag
from internal.services.worker.report import Report
from internal.services.worker.running import Running
from internal.services.worker.slots import Slots

LOOK_EVERY_S: Final = 0.25
# A pause of the garbage collector or of a busy machine stays below this.
HELD_S: Final = 1.0
WARN_EVERY_S: Final = 10.0
# Of the lease TTL: by then other processes must see the leases as live still.
LONGEST: Final = 1.75
SHORTEST_S: Final = 2.0
# Recording the end must not keep the process from ending: its leases run out by themselves.
RECORD_S: Final = 3.0
NAMED: Final = 5

_log = logging.getLogger(__name__)

EndWorkers = Callable[[Sequence[str], Sequence[UUID]], Awaitable[None]]


class Watchdog:
    """Runs in the heartbeat's thread; `end_workers` records that names are gone and who did it."""

    def __init__(
        self,
        slots: Slots,
        lag: Lag,
        handlers: Mapping[str, Handler],
        report: Report,
        end_workers: EndWorkers,
        lease_ttl: timedelta,
    ) -> None:
        self._slots = slots
        self._lag = lag
        self._handlers = handlers
        self._report = report
        self._end_workers = end_workers
        self._longest_s = max(SHORTEST_S, LONGEST * lease_ttl.total_seconds())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._looked = monotonic()
        self._cpu_s = time.process_time()
        # Before this moment the whole process stood still: no handler is to blame for it.
        self._excused = 0.0
        self._warned = 0.0
        self._held_since = 0.0

    def watch_this_loop(self) -> None:
        """Called in the thread and on the loop that is to be watched."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._report.introduce(self._handlers)

    async def run(self) -> None:
        """Live until canceled."""
        self._looked = monotonic()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._report.send()
            await self.look(monotonic())

    async def look(self, now: float) -> None:
        """See whether the loop moves."""
        self._note_own_gap(now)
        ticked = max(self._lag.ticked, self._excused)
        held_s = now - ticked
        if held_s < HELD_S:
            self._note_end()
            return
        self._held_since = self._held_since or ticked
        if now - self._warned >= WARN_EVERY_S:
            self._warned = now
            self._warn(held_s)
        if held_s >= self._longest_s:
            await self._end(held_s)

    def _note_own_gap(self, now: float) -> None:
        """This thread may have stood still too: by the interpreter's lock, or all the process."""
        gap_s, self._looked = now - self._looked - LOOK_EVERY_S, now
        cpu_s = time.process_time()
        worked_s, self._cpu_s = cpu_s - self._cpu_s, cpu_s
        if gap_s < HELD_S:
            return
        self._excused = now
        if worked_s > gap_s / 2:
            _log.warning(
                "the interpreter was held for %.1f s: nothing else ran in this process. Code that"
                " takes long without letting go of the GIL belongs into a process of its own",
                gap_s,
                extra=_named(self._slots.recent),
            )
        else:
            _log.warning(
                "the process stood still for %.1f s: it was stopped, or the machine was", gap_s
            )

    def _note_end(self) -> None:
        if self._held_since:
            held_s = self._lag.ticked - self._held_since
            _log.warning("the event loop runs again after %.1f s", max(HELD_S, held_s))
        self._held_since = self._warned = 0.0

    def _warn(self, held_s: float) -> None:
        sight = self._look_at_loop()
        if sight.culprit is None:
            _log.warning(
                "the event loop stands still for %.1f s, held by no handler that is known",
                held_s,
                extra={**_named(list(self._slots.running)), "stack": sight.stack},
            )
            return
        _log.warning(
            "a handler holds the event loop for %.1f s: nothing else runs, and after %g s the"
            " process is ended. Await what takes long, or declare the handler without async:"
            " then it runs in a thread",
            held_s,
            self._longest_s,
            extra={**_named([sight.culprit]), "stack": sight.stack},
        )

    async def _end(self, held_s: float) -> None:
        sight = self._look_at_loop()
        blamed = [] if sight.culprit is None else [sight.culprit]
        _log.error(
            "the event loop stood still for %.1f s: this process ends, to be replaced",
            held_s,
            extra={**_named(blamed or list(self._slots.running)), "stack": sight.stack},
        )
        names = [each.id for each in self._slots.identities]
        try:
            async with asyncio.timeout(RECORD_S):
                await self._end_workers(names, [each.job_id for each in blamed])
        except Exception:  # noqa: BLE001 - the process ends whatever the database says
            _log.exception("the end was not recorded: the leases will run out by themselves")
        self._report.replace_process()

    def _look_at_loop(self) -> Sight:
        if self._loop is None:
            return Sight(stack="", culprit=None)
        running = list(self._slots.running)
        return look_at_loop(self._loop, self._thread, running, self._handlers)


def _named(attempts: Collection[Running]) -> dict[str, Any]:
    named = list(attempts)[:NAMED]
    return {
        "types": sorted({each.type for each in named}),
        "job_ids": [str(each.job_id) for each in named],
    }
