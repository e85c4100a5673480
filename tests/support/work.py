"""The ports of a worker, small enough to be played by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

from internal.domain.handlers import Handler, Handlers
from internal.domain.ids import new_id
from internal.domain.ports.work import Beat, ClaimedJob, Finish, Lease, LoggedLine, Progress
from internal.domain.retry import Strategy
from internal.services.worker.completer import Completer
from internal.services.worker.executor import Executor
from internal.services.worker.heart import Heart
from internal.services.worker.heartbeat import Heartbeat, Watched
from internal.services.worker.lag import Lag
from internal.services.worker.producer import Producer
from internal.services.worker.report import Report
from internal.services.worker.running import Running
from internal.services.worker.slots import Slots
from internal.services.worker.supervision import RunningAttempt, Unsupervised
from internal.services.worker.watchdog import Watchdog
from tests.support.conditions import eventually
from tests.support.wakeups import SilentWakeups


def a_claimed_job(
    type_: str = "noop",
    *,
    timeout_ms: int = 60_000,
    user_id: UUID | None = None,
    tag: float = 0.0,
    weight: float = 1.0,
    payload: str = "{}",
) -> ClaimedJob:
    return ClaimedJob(
        id=new_id(),
        user_id=user_id or new_id(),
        token=2,
        type=type_,
        payload=payload,
        number=1,
        attempts=0,
        max_attempts=3,
        backoff_strategy=Strategy.FIXED,
        backoff_base_ms=1,
        backoff_max_ms=1,
        backoff_jitter=0.0,
        timeout_ms=timeout_ms,
        tag=tag,
        weight=weight,
        dependencies=0,
    )


class Ends:
    """Finishes: keeps what it is given, after raising each of `faults` once."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.recorded: list[Finish] = []
        self.flushes: list[int] = []
        self.calls: list[str] = []
        self.handed_back: list[Lease] = []
        self.routed: dict[Lease, str] = {}
        self.freed: list[Lease] = []
        self.logged: list[dict[Lease, Sequence[LoggedLine]]] = []
        self.ending: set[UUID] = set()

    async def finish(self, ends: Sequence[Finish]) -> set[UUID]:
        self._meet_fault()
        self.calls.append("finish")
        self.recorded += ends
        self.flushes.append(len(ends))
        return set()

    async def hand_back(
        self, leases: Sequence[tuple[Lease, int]], route: str | None = None
    ) -> None:
        self._meet_fault()
        self.handed_back += [lease for lease, _ in leases]
        if route is not None:
            self.routed |= {lease: route for lease, _ in leases}

    async def let_go(self, leases: Sequence[Lease]) -> None:
        self._meet_fault()
        self.calls.append("let go")
        self.freed += leases

    async def progress(self, reports: Mapping[Lease, Progress]) -> None:
        self._meet_fault()

    async def log(self, lines: Mapping[Lease, Sequence[LoggedLine]]) -> set[UUID]:
        self._meet_fault()
        self.calls.append("log")
        self.logged.append(dict(lines))
        return {lease.job_id for lease in lines} - self.ending

    def _meet_fault(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


class Names:
    """Workers: notes the beats; a name in `failing` raises what stands there."""

    def __init__(self) -> None:
        self.canceled: set[UUID] = set()
        self.loads: list[tuple[int, int]] = []
        self.beats: list[tuple[str, list[UUID] | None]] = []
        self.left: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.ended: list[tuple[list[str], list[UUID]]] = []

    @property
    def over_its_own_connection(self) -> OwnConnection:
        return OwnConnection(self)

    async def end(
        self, worker_ids: Sequence[str], blamed: Sequence[UUID], suspected: Sequence[UUID] = ()
    ) -> None:
        self.ended.append((list(worker_ids), list(blamed)))

    async def register(
        self,
        worker_id: str,
        ttl: timedelta,
        slots: int,
        routes: Sequence[str],
        *,
        is_alone: bool = False,
    ) -> None: ...

    async def beat(
        self,
        worker_id: str,
        ttl: timedelta,
        held: Sequence[UUID] | None = None,
        *,
        running: int = 0,
        lag_ms: int = 0,
    ) -> Beat:
        self.beats.append((worker_id, None if held is None else list(held)))
        self.loads.append((running, lag_ms))
        if worker_id in self.failing:
            raise self.failing[worker_id]
        return Beat(alive=True, canceled=frozenset(self.canceled))

    async def leave(self, worker_id: str) -> None:
        self.left.append(worker_id)


class OwnConnection:
    """Beats: the same names, as the heartbeat's thread reaches them."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def beat(
        self, worker_id: str, ttl: timedelta, *, running: int = 0, lag_ms: int = 0
    ) -> Beat:
        return await self._names.beat(worker_id, ttl, running=running, lag_ms=lag_ms)

    async def end(
        self, worker_ids: Sequence[str], blamed: Sequence[UUID], suspected: Sequence[UUID] = ()
    ) -> None:
        await self._names.end(worker_ids, blamed, suspected)

    async def close(self) -> None: ...


class Supervisor(Unsupervised):
    """Supervision: notes the signs of life, and whether the process is to be replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.signs: list[tuple[list[str], list[RunningAttempt]]] = []
        self.replacing = threading.Event()

    def beat(self, worker_ids: Sequence[str], attempts: Sequence[RunningAttempt]) -> None:
        self.signs.append((list(worker_ids), list(attempts)))

    def replace_process(self) -> NoReturn:
        self.replacing.set()
        raise RuntimeError("this process is to be replaced")


class Queue:
    """Claims: gives the jobs of `waiting` in order, after `meanwhile` has happened."""

    def __init__(self, *jobs: ClaimedJob) -> None:
        self.waiting = list(jobs)
        self.meanwhile: Callable[[], Any] = lambda: None
        self.asked: list[tuple[int, list[UUID]]] = []
        self.locked = False

    async def claim(
        self,
        worker_id: str,
        routes: Sequence[str],
        limit: int,
        passed_over: Sequence[UUID] = (),
    ) -> list[ClaimedJob]:
        self.asked.append((limit, list(passed_over)))
        self.meanwhile()
        if self.locked:
            return []
        wanted = [job for job in self.waiting if job.user_id not in passed_over][:limit]
        gone = {job.id for job in wanted}
        self.waiting = [job for job in self.waiting if job.id not in gone]
        return wanted

    async def is_waiting(self, routes: Sequence[str], passed_over: Sequence[UUID] = ()) -> bool:
        return any(job.user_id not in passed_over for job in self.waiting)


class Process:
    """The loops of one worker process over ports played by hand."""

    def __init__(
        self, *handlers: Handler, slots: int = 4, ttl_s: float = 30, names: Names | None = None
    ) -> None:
        ttl = timedelta(seconds=ttl_s)
        self.queue = Queue()
        self.ends = Ends()
        self.names = names or Names()
        self.slots = Slots(slots, reserve=0.1)
        self.completer = Completer(self.ends)
        self.lag = Lag()
        routes = ("default",)
        self.supervision = Supervisor()
        report = Report(self.slots, self.supervision)
        self.heart = Heart(self.names, self.ends, self.slots, self.completer, report, ttl, routes)
        watched = Watched(lambda: self.names.over_its_own_connection, self.supervision)
        self.watchdog = Watchdog(
            self.slots, self.lag, Handlers(handlers), report, self.names.end, ttl
        )
        self.heartbeat = Heartbeat(watched, self.slots, self.heart, self.lag, self.watchdog, ttl)
        self.executor = Executor(Handlers(handlers), self.slots, self.completer)
        self.producer = Producer(
            self.queue, self.heart, self.slots, self.executor, self.completer, routes
        )

    async def start(self, job: ClaimedJob) -> Running:
        """Have an attempt in progress, as after its claim."""
        identity = self.slots.current or await self.heart.begin()
        self.slots.buffer.put(identity, [job])
        running = self.slots.buffer.pop(self.slots.free)
        assert running is not None
        self.executor.start(running)
        return running


@asynccontextmanager
async def producing(process: Process) -> AsyncIterator[None]:
    """Claim and start what waits in its queue; in the end nothing runs any more."""
    living = asyncio.create_task(process.producer.run(SilentWakeups()))
    try:
        yield
    finally:
        process.producer.stop()
        await living
        for running in [*process.slots.running]:
            running.stop()
        await eventually(lambda: not process.slots.running)


async def end_of(job: ClaimedJob, *handlers: Handler) -> Finish:
    """Run one attempt and say what was recorded of it."""
    process = Process(*handlers)
    running = await process.start(job)
    assert running.task is not None
    await asyncio.wait({running.task}, timeout=10)  # it may have been canceled as it ended
    await process.completer.run_once()
    assert process.slots.free == 4
    (end,) = process.ends.recorded
    return end
