from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar
from typing import Any

import msgspec
import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import Handler, JobContext
from internal.domain.jobs import Outcome, Status
from internal.domain.outcomes import Fail
from internal.services.worker import completer as completer_module
from internal.services.worker.running import Running
from tests.support.conditions import eventually
from tests.support.work import Process, a_claimed_job, end_of, producing

Payload = dict[str, Any]
SECRET: ContextVar[str] = ContextVar("SECRET")


class OddError(BaseException):
    """Nothing that `except Exception` catches."""


class WordlessError(Fail):
    def __str__(self) -> str:
        raise ValueError("no words")


class Picky(msgspec.Struct):
    def __post_init__(self) -> None:
        raise ValueError("nul \0, surrogate \ud800" + "!" * 100_000)


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


@handler("cancels itself")
async def cancels_itself(job: Payload, ctx: JobContext) -> None:
    own_task().cancel()
    await asyncio.sleep(60)


@handler("cancels itself later")
async def cancels_itself_later(job: Payload, ctx: JobContext) -> None:
    asyncio.get_running_loop().call_later(0.001, own_task().cancel)
    await asyncio.sleep(60)


@handler("cancels itself as it fails")
async def cancels_itself_as_it_fails(job: Payload, ctx: JobContext) -> None:
    own_task().cancel()
    raise TimeoutError("too slow")


@handler("picky")
async def picky(job: Picky, ctx: JobContext) -> None: ...


@handler("endless")
async def endless(job: Payload, ctx: JobContext) -> None:
    await asyncio.sleep(60)


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
        (cancels_itself, "CancelledError"),
        (cancels_itself_later, "CancelledError"),
        (cancels_itself_as_it_fails, "TimeoutError: too slow"),
        (wordless, "WordlessError"),
    ],
    ids=lambda each: each.type if isinstance(each, Handler) else "",
)
async def test_whatever_a_handler_raises_ends_its_attempt_as_failed(
    declared: Handler, error: str
) -> None:
    end = await end_of(a_claimed_job(declared.type), declared)

    assert end.outcome is Outcome.FAILED
    assert (end.error or "").splitlines()[0] == error
    assert end.settlement.attempts == 1


async def test_an_error_in_reading_the_payload_is_kept_as_text_that_can_be_stored() -> None:
    end = await end_of(a_claimed_job("picky"), picky)

    assert (end.outcome, end.is_misfit) == (Outcome.RELEASED, True)
    assert end.error is not None
    assert "nul �, surrogate ?" in end.error
    assert len(end.error) <= 10_000


async def test_a_type_without_a_handler_goes_where_only_workers_with_one_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process(endless)
    for _ in range(3):
        await task_of(await process.start(a_claimed_job("unknown")))
    await process.completer.run_once()

    assert process.ends.recorded == []
    assert [*process.ends.routed.values()] == ["pull:unknown"] * 3
    (line,) = [each for each in caplog.records if "no handler here" in each.message]
    assert line.__dict__["type"] == "unknown"


async def test_a_stop_releases_what_still_runs() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))
    await eventually(lambda: running.started > 0)

    running.stop()
    await task_of(running)
    await process.completer.run_once()

    (end,) = process.ends.recorded
    assert (end.outcome, end.settlement.status) == (Outcome.RELEASED, Status.QUEUED)


async def test_a_stop_before_the_handler_was_called_hands_the_job_back_uncounted() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))

    running.stop()
    await task_of(running)
    await process.completer.run_once()

    assert process.ends.recorded == []
    assert process.ends.handed_back == [running.lease]
    assert process.slots.free == 4


async def test_an_attempt_of_a_lost_lease_records_nothing() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))
    await eventually(lambda: running.started > 0)

    running.lost = True
    running.stop()
    await task_of(running)

    assert process.completer.unrecorded == set()
    assert process.slots.free == 4


async def test_the_contextvars_of_one_job_are_unknown_to_the_next() -> None:
    seen: list[str] = []

    @handler("leaky")
    async def leaky(job: Payload, ctx: JobContext) -> None:
        seen.append(SECRET.get("nothing"))
        SECRET.set("of another user")

    process = Process(leaky, slots=1)
    for _ in range(2):
        await task_of(await process.start(a_claimed_job("leaky")))
    # Each of these begins when the one before it frees the slot.
    process.queue.waiting = [a_claimed_job("leaky") for _ in range(3)]
    async with producing(process):
        await eventually(lambda: len(seen) == 5)

    assert seen == ["nothing"] * 5


async def test_a_stop_does_not_forget_how_an_attempt_ended_that_waits_to_be_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completer_module, "MAX_PENDING", 1)
    process = Process(noop)
    await task_of(await process.start(a_claimed_job()))
    running = await process.start(a_claimed_job())
    await eventually(lambda: running.ended > 0)
    assert not task_of(running).done()

    running.stop()
    await task_of(running)
    await process.completer.run_once()

    assert [end.outcome for end in process.ends.recorded] == [Outcome.SUCCEEDED] * 2


def own_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def task_of(running: Running) -> asyncio.Task[None]:
    assert running.task is not None
    return running.task
