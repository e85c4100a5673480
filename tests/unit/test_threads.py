"""A process that can start no more threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from internal.adapters.handlers.egress import LOOK_UPS_AT_ONCE, SystemResolver
from internal.domain.declaring import handler
from internal.domain.handlers import Handler, JobContext
from internal.domain.jobs import Outcome, Status
from internal.services.worker.loop_threads import LoopThreads
from internal.services.worker.threads import NoThreadError
from tests.support.work import Process, a_claimed_job

Payload = dict[str, Any]
NO_ROOM = 1 << 46


@pytest.fixture
def no_threads() -> Iterator[None]:
    """As when there are too many: no memory has room for the stack of another one."""
    usual = threading.stack_size(NO_ROOM)
    yield
    threading.stack_size(usual)


@handler("sync")
def in_thread(job: Payload, ctx: JobContext) -> None: ...


@handler("to_thread")
async def to_thread(job: Payload, ctx: JobContext) -> None:
    await asyncio.to_thread(print)


@handler("own")
async def own(job: Payload, ctx: JobContext) -> None:
    threading.Thread(target=print).start()


async def run(*handlers: Handler) -> Process:
    """Run a job of each, one after another."""
    process = Process(*handlers)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(LoopThreads(loop, process.slots.marks))
    for each in handlers:
        running = await process.start(a_claimed_job(each.type))
        assert running.task is not None
        await running.task
    await process.completer.run_once()
    return process


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("declared", [in_thread, to_thread], ids=["sync", "to_thread"])
async def test_a_job_without_a_thread_goes_back_uncounted_and_no_other_starts(
    declared: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    process = await run(declared)

    (end,) = process.ends.recorded
    assert (end.outcome, end.is_held) == (Outcome.RELEASED, False)
    assert (end.settlement.status, end.settlement.attempts) == (Status.QUEUED, 0)
    assert (process.slots.free, len(process.slots.running)) == (0, 0)
    assert [each.getMessage() for each in caplog.records] == [
        "no job starts here any more: can't start new thread"
    ]


@pytest.mark.usefixtures("no_threads")
async def test_a_thread_that_a_handler_starts_by_itself_is_its_own_affair() -> None:
    process = await run(own)

    (end,) = process.ends.recorded
    assert (end.outcome, end.settlement.attempts) == (Outcome.FAILED, 1)
    assert process.slots.free == 4


@pytest.mark.usefixtures("no_threads")
async def test_a_look_up_that_has_no_thread_leaves_its_place_to_the_next() -> None:
    resolver, user = SystemResolver(seconds=1), uuid4()
    asked = [resolver.resolve(user, "example.com", 80) for _ in range(LOOK_UPS_AT_ONCE + 1)]
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert {type(each) for each in answers} == {NoThreadError}


async def test_an_error_of_a_handlers_own_that_reads_the_same_counts() -> None:
    @handler("lying")
    def lying(job: Payload, ctx: JobContext) -> None:
        raise RuntimeError("can't start new thread")

    process = await run(lying)

    (end,) = process.ends.recorded
    assert (end.outcome, process.slots.free) == (Outcome.FAILED, 4)
