"""One worker process from its first claim to its graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.blame import Suspicion, alone, suspicion_of
from internal.domain.errors import UnavailableError
from internal.domain.handlers import Handlers
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.ports.work import Beats, Claims, Finishes, Workers
from internal.services.background import Background
from internal.services.duty import Duty
from internal.services.worker.completer import Completer
from internal.services.worker.deadlines import Deadlines
from internal.services.worker.executor import Executor
from internal.services.worker.heart import Heart
from internal.services.worker.heartbeat import Heartbeat, Watched
from internal.services.worker.lag import Lag
from internal.services.worker.loop_threads import LoopThreads
from internal.services.worker.producer import Producer
from internal.services.worker.report import Report
from internal.services.worker.running import PATIENCE_S, Running
from internal.services.worker.scribe import Scribe
from internal.services.worker.slots import Slots
from internal.services.worker.supervision import Marks
from internal.services.worker.watchdog import Watchdog

NEWS_EVERY: Final = timedelta(seconds=1)
LAST_FLUSH_S: Final = 5.0
# How long an isolated worker waits for the next job.
IDLE_S: Final = 10.0

_log = logging.getLogger(__name__)


class WorkerSettings(msgspec.Struct, frozen=True):
    """How one process works; of its slots a part is in reserve (domain/shares.py).

    `is_alone`: it runs the jobs that end their processes, one at a time (domain/blame.py), and ends
    when there have been none for a while.
    """

    slots: int
    reserve: float
    lease_ttl: timedelta
    shutdown_grace: timedelta
    is_alone: bool = False


class Worker:
    """Runs until `stop`."""

    def __init__(
        self,
        claims: Claims,
        finishes: Finishes,
        workers: Workers,
        wakeups: Wakeups,
        handlers: Handlers,
        settings: WorkerSettings,
        watched: Watched,
    ) -> None:
        self._supervision = watched.supervision
        self._workers = workers
        self._wakeups = wakeups
        self._settings = settings
        size = 1 if settings.is_alone else settings.slots
        slots = self._slots = Slots(size, settings.reserve, is_alone=settings.is_alone)
        slots.marks = watched.supervision.marks
        completer = self._completer = Completer(finishes)
        lag = self._lag = Lag()
        routes, ttl = handlers.routes(), settings.lease_ttl
        if settings.is_alone:
            routes = tuple(alone(route) for route in routes)
        open_beats = watched.open_beats
        report = Report(slots, watched.supervision)
        heart = Heart(workers, finishes, slots, completer, report, ttl, routes)
        end = partial(_end_workers, open_beats)
        watchdog = Watchdog(slots, lag, handlers, report, end, ttl)
        self._heartbeat = Heartbeat(watched, slots, heart, lag, watchdog, ttl)
        executor = Executor(handlers, slots, completer)
        self._deadlines = Deadlines(slots, executor)
        self._producer = Producer(claims, heart, slots, executor, completer, routes)
        self._duties = (
            Duty("heart", heart.run_once, pause=NEWS_EVERY),
            Duty("scribe", Scribe(finishes, slots).run_once, pause=NEWS_EVERY),
        )
        self._busy_at = monotonic()

    @property
    def is_worn_out(self) -> bool:
        """Whether it should be replaced."""
        return self.wear is not None

    @property
    def wear(self) -> str | None:
        """Why it should be replaced, if it should."""
        if self._slots.is_closed:
            return "no thread can be started"
        # The work of ended attempts goes on.
        hung = len(self._slots.hung)
        return "too many handlers hang" if hung > 0 and 2 * hung >= self._slots.size else None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or the process is worn out, then end gracefully."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(LoopThreads(loop, self._slots.marks))
        async with asyncio.TaskGroup() as group:
            background = Background(group)
            beating = background.begin(self._beat(), "heartbeat")
            for duty in self._duties:
                background.begin(duty.run(self._wakeups), duty.name)
            background.begin(self._completer.run(), "completer")
            background.begin(self._deadlines.run(), "deadlines")
            background.begin(self._lag.run(), "lag")
            produce = background.begin(self._producer.run(self._wakeups), "producer")
            await self._until_stopped(stop)
            background.release(produce)
            self._producer.stop()
            await produce
            await self._finish_running()
            await self._last_flush()
            background.release(beating)
            beating.cancel()
            await asyncio.wait({beating})
            await self._leave()
            background.cancel()

    async def _beat(self) -> None:
        with self._wakeups.subscribe(self._heartbeat.wake, Topic.CANCEL):
            await self._heartbeat.run()

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and not self.is_worn_out and not self._is_idle():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NEWS_EVERY.total_seconds()):
                    await stop.wait()

    def _is_idle(self) -> bool:
        """Whether an isolated worker has had nothing to do for a while."""
        if not self._settings.is_alone:
            return False
        if self._slots.running or len(self._slots.buffer):
            self._busy_at = monotonic()
        return monotonic() - self._busy_at > IDLE_S

    async def _finish_running(self) -> None:
        """Let attempts end within the grace; what is left goes back uncounted."""
        if not self._slots.running:
            return
        _log.info("waiting for running jobs", extra={"jobs": len(self._slots.running)})
        await self._ended(self._settings.shutdown_grace.total_seconds())
        left = list(self._slots.running)
        for running in left:
            running.stop(self._suspicion(running.job_id, left))
        if left:
            _log.info("releasing jobs that did not end in time", extra={"jobs": len(left)})
            await self._ended(2 * PATIENCE_S)

    def _suspicion(self, job_id: UUID, left: Sequence[Running]) -> Suspicion:
        """That a job has sent the signal which ends this process."""
        if self.is_worn_out or self._supervision.stop_asked:
            return Suspicion.NONE
        began_last = UUID(bytes=bytes(self._supervision.marks[Marks.STARTED]))
        suspected = [each.job_id for each in left if each.job_id == began_last]
        return suspicion_of(job_id, end_known=True, blamed=(), suspected=suspected)

    async def _ended(self, within_s: float) -> None:
        tasks = {each.task for each in self._slots.running if each.task is not None}
        await asyncio.wait(tasks, timeout=within_s)

    async def _last_flush(self) -> None:
        with contextlib.suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(LAST_FLUSH_S):
                await self._completer.drained()

    async def _leave(self) -> None:
        with contextlib.suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(LAST_FLUSH_S):
                for identity in self._slots.identities:
                    await self._workers.leave(identity.id)


async def _end_workers(
    open_beats: Callable[[], Beats], worker_ids: Sequence[str], blamed: Sequence[UUID]
) -> None:
    """Record it over a connection of its own: another one may be in the middle of a beat."""
    beats = open_beats()
    try:
        await beats.end(worker_ids, blamed)
    finally:
        await beats.close()
