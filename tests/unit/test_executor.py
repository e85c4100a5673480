from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
import pytest

from internal.domain.handlers import Fail, Handler, Handlers, JobContext, handler
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import ClaimedJob, Finish
from internal.services.worker import completer as completer_module
from internal.services.worker.completer import Completer
from internal.services.worker.executor import Executor
from internal.services.worker.slots import Identity, Running, Slots
from tests.support.work import Ends, a_claimed_job

Payload = dict[str, Any]


class OddError(BaseException):
    """Nothing that `except Exception` catches."""


class WordlessError(Fail):
    def __str__(self) -> str:
        raise ValueError("no words")


class Picky(msgspec.Struct):
    def __post_init__(self) -> None:
        raise ValueError("nul \0, surrogate \ud800" + "!" * 100_000)


class Bench:
    """An executor with four slots, and what it handed over."""

    def __init__(self, *handlers: Handler) -> None:
        self.ends = Ends()
        self.slots = Slots(4)
        self.identity = self.slots.current = Identity()
        self.completer = Completer(self.ends)
        self.executor = Executor(Handlers(handlers), self.slots, self.completer)

    def start(self, job: ClaimedJob) -> asyncio.Task[None]:
        running = Running(job)
        self.executor.start(self.identity, running)
        assert running.task is not None
        return running.task

    async def run(self, type_: str) -> Finish:
        await asyncio.wait_for(self.start(a_claimed_job(type_)), 10)
        await self.completer.run_once()
        (end,) = self.ends.recorded
        return end


@handler("own cancel")
async def own_cancel(job: Payload, ctx: JobContext) -> None:
    inner = asyncio.create_task(asyncio.sleep(60))
    inner.cancel()
    await inner


@handler("odd")
async def odd(job: Payload, ctx: JobContext) -> None:
    raise OddError("odd")


@handler("exit")
async def leave(job: Payload, ctx: JobContext) -> None:
    sys.exit("exit")


@handler("odd thread")
def odd_thread(job: Payload, ctx: JobContext) -> None:
    raise OddError("odd")


@handler("exit thread")
def exit_thread(job: Payload, ctx: JobContext) -> None:
    sys.exit("exit")


@handler("stop iteration")
def stop_iteration(job: Payload, ctx: JobContext) -> None:
    next(iter([]))


@handler("own cancel thread")
def own_cancel_thread(job: Payload, ctx: JobContext) -> None:
    raise asyncio.CancelledError


@handler("wordless")
async def wordless(job: Payload, ctx: JobContext) -> None:
    raise WordlessError


@handler("picky")
async def picky(job: Picky, ctx: JobContext) -> None: ...


@handler("noop")
async def noop(job: Payload, ctx: JobContext) -> str:
    return "done"


@pytest.mark.parametrize(
    ("declared", "error"),
    [
        (own_cancel, "CancelledError"),
        (odd, "OddError: odd"),
        (leave, "SystemExit: exit"),
        (odd_thread, "OddError: odd"),
        (exit_thread, "SystemExit: exit"),
        (stop_iteration, "RuntimeError: the handler raised StopIteration"),
        (own_cancel_thread, "CancelledError"),
        (wordless, "WordlessError"),
    ],
    ids=lambda each: each.type if isinstance(each, Handler) else "",
)
async def test_whatever_a_handler_raises_ends_its_attempt_as_failed(
    declared: Handler, error: str
) -> None:
    bench = Bench(declared)

    end = await bench.run(declared.type)

    assert (end.outcome, end.error) == (Outcome.FAILED, error)
    assert end.settlement.attempts == 1
    assert bench.slots.free == 4


async def test_an_error_in_reading_the_payload_is_kept_as_text_that_can_be_stored() -> None:
    end = await Bench(picky).run("picky")

    assert (end.outcome, end.settlement.status) == (Outcome.FAILED, Status.FAILED)
    assert end.error is not None
    assert "nul �, surrogate ?" in end.error
    assert len(end.error) <= 10_000


async def test_a_stop_releases_what_still_runs() -> None:
    @handler("endless")
    async def endless(job: Payload, ctx: JobContext) -> None:
        await asyncio.sleep(60)

    bench = Bench(endless)
    task = bench.start(a_claimed_job("endless"))
    await asyncio.sleep(0)
    task.cancel()
    await task
    await bench.completer.run_once()

    (end,) = bench.ends.recorded
    assert (end.outcome, end.settlement.status) == (Outcome.RELEASED, Status.QUEUED)


@pytest.fixture
async def full(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench whose completer takes no second end before it has recorded the first."""
    monkeypatch.setattr(completer_module, "MAX_PENDING", 1)
    bench = Bench(noop)
    await bench.start(a_claimed_job())
    return bench


async def test_a_stop_does_not_forget_how_an_attempt_ended_that_waits_to_be_recorded(
    full: Bench,
) -> None:
    task = full.start(a_claimed_job())
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    await task
    await full.completer.run_once()

    assert [end.outcome for end in full.ends.recorded] == [Outcome.SUCCEEDED, Outcome.SUCCEEDED]
