"""What async handlers have threads do, as with `asyncio.to_thread`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import Handler, JobContext
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import Finish
from internal.services.worker.deadlines import Deadlines
from internal.services.worker.loop_threads import AT_ONCE, LoopThreads
from internal.services.worker.running import Running
from internal.services.worker.supervision import Marks
from tests.support.conditions import eventually
from tests.support.work import Process, a_claimed_job

Payload = dict[str, Any]
BRIEF_MS = 20


class Gate:
    """What threads wait at, and how many are there."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.arrived = 0
        self._lock = threading.Lock()

    def wait(self) -> str:
        with self._lock:
            self.arrived += 1
        self.opened.wait(60)
        return "through"


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


class Threaded:
    """A process of four slots whose loop has our threads."""

    def __init__(self, *handlers: Handler) -> None:
        self.process = Process(*handlers)
        self.deadlines = Deadlines(self.process.slots, self.process.executor)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(LoopThreads(loop, self.process.slots.marks))

    async def start(self, type_: str, timeout_ms: int = 60_000) -> Running:
        return await self.process.start(a_claimed_job(type_, timeout_ms=timeout_ms))

    async def end_of(self, running: Running) -> Finish:
        """What is recorded of an attempt, whose deadline is watched."""
        watching = asyncio.create_task(self.deadlines.run())
        await eventually(lambda: running.ended > 0)
        watching.cancel()
        await self.process.completer.run_once()
        return self.process.ends.recorded[-1]

    async def its_place_is_kept_until(self, gate: Gate) -> None:
        slots = self.process.slots
        await eventually(lambda: len(slots.hung) == 1)
        assert (slots.free, self.process.ends.freed) == (3, [])
        gate.opened.set()
        await eventually(lambda: slots.free == 4)
        await self.process.completer.run_once()
        assert len(self.process.ends.freed) == 1


def waiting_handlers(gate: Gate) -> list[Handler]:
    """Each waits for a thread in a way of its own."""

    @handler("to_thread")
    async def to_thread(job: Payload, ctx: JobContext) -> str:
        return await asyncio.to_thread(gate.wait)

    @handler("run_in_executor")
    async def run_in_executor(job: Payload, ctx: JobContext) -> str:
        return await asyncio.get_running_loop().run_in_executor(None, gate.wait)

    @handler("gather")
    async def gather(job: Payload, ctx: JobContext) -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(gate.wait) for _ in range(3)))

    @handler("stubborn")
    async def stubborn(job: Payload, ctx: JobContext) -> None:
        """Longer than its patience, and its thread longer than that."""
        asyncio.get_running_loop().run_in_executor(None, gate.wait)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    return [to_thread, run_in_executor, gather, stubborn]


@pytest.mark.parametrize("type_", ["to_thread", "run_in_executor", "gather", "stubborn"])
async def test_threads_that_outlive_the_timeout_keep_the_place_of_their_attempt(
    gate: Gate, type_: str
) -> None:
    threaded = Threaded(*waiting_handlers(gate))
    running = await threaded.start(type_, BRIEF_MS)
    await eventually(lambda: gate.arrived > 0)

    end = await threaded.end_of(running)

    assert (end.outcome, end.is_held) == (Outcome.TIMED_OUT, True)
    assert end.settlement.status in {Status.SCHEDULED, Status.FAILED}
    await threaded.its_place_is_kept_until(gate)


async def test_so_does_a_thread_that_outlives_the_success(gate: Gate) -> None:
    @handler("forgetful")
    async def forgetful(job: Payload, ctx: JobContext) -> None:
        asyncio.get_running_loop().run_in_executor(None, gate.wait)

    threaded = Threaded(forgetful)
    end = await threaded.end_of(await threaded.start("forgetful"))

    assert (end.outcome, end.is_held) == (Outcome.SUCCEEDED, True)
    await threaded.its_place_is_kept_until(gate)


async def test_an_attempt_whose_threads_have_ended_holds_nothing(gate: Gate) -> None:
    gate.opened.set()
    threaded = Threaded(*waiting_handlers(gate))
    end = await threaded.end_of(await threaded.start("gather"))

    assert (end.outcome, end.is_held) == (Outcome.SUCCEEDED, False)
    assert end.result == '["through","through","through"]'
    assert threaded.process.slots.free == 4


async def test_calls_beyond_the_threads_of_one_attempt_wait_and_keep_no_other_waiting(
    gate: Gate,
) -> None:
    @handler("many")
    async def many(job: Payload, ctx: JobContext) -> int:
        calls = [asyncio.to_thread(gate.wait) for _ in range(AT_ONCE + 5)]
        return len(await asyncio.gather(*calls))

    @handler("one")
    async def one(job: Payload, ctx: JobContext) -> str:
        return await asyncio.to_thread(str, "served")

    threaded = Threaded(many, one)
    crowd = await threaded.start("many")
    await eventually(lambda: gate.arrived == AT_ONCE)

    assert (await threaded.end_of(await threaded.start("one"))).result == '"served"'
    assert gate.arrived == AT_ONCE
    gate.opened.set()
    assert (await threaded.end_of(crowd)).result == str(AT_ONCE + 5)


async def test_what_is_canceled_in_line_is_never_called(gate: Gate) -> None:
    called: list[int] = []

    @handler("hasty")
    async def hasty(job: Payload, ctx: JobContext) -> None:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(None, gate.wait) for _ in range(AT_ONCE)]
        unwanted = loop.run_in_executor(None, called.append, 1)
        unwanted.cancel()
        await asyncio.wait({unwanted})
        gate.opened.set()
        await asyncio.gather(*calls)

    threaded = Threaded(hasty)
    end = await threaded.end_of(await threaded.start("hasty"))

    assert (end.outcome, called) == (Outcome.SUCCEEDED, [])


def stop_iteration() -> None:
    raise StopIteration


def leave() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (stop_iteration, "RuntimeError: the handler raised StopIteration"),
        (leave, "SystemExit: 3"),
    ],
)
async def test_what_a_function_in_a_thread_raises_reaches_the_handler(
    function: Any, error: str
) -> None:
    @handler("raising")
    async def raising(job: Payload, ctx: JobContext) -> None:
        await asyncio.to_thread(function)

    threaded = Threaded(raising)
    end = await threaded.end_of(await threaded.start("raising"))

    assert end.outcome is Outcome.FAILED
    assert (end.error or "").splitlines()[0] == error


async def test_the_supervisor_can_tell_whose_thread_it_is(gate: Gate) -> None:
    threaded = Threaded(*waiting_handlers(gate))
    running = await threaded.start("to_thread")
    await eventually(lambda: gate.arrived == 1)

    mark = Marks.in_thread(running.job_id, running.thread_id)
    assert threaded.process.slots.marks[Marks.IN_THREAD] == mark
    gate.opened.set()
    await threaded.end_of(running)


async def test_a_call_of_no_attempt_has_a_thread_as_well() -> None:
    loop = asyncio.get_running_loop()
    asked: Future[str] = LoopThreads(loop, bytearray(Marks.SIZE)).submit(str, 5)

    assert await asyncio.wrap_future(asked) == "5"
