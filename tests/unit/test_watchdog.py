from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import Handler, JobContext
from internal.services.worker.culprit import code_of
from internal.services.worker.running import Running
from tests.support.conditions import eventually
from tests.support.work import Process, a_claimed_job

Payload = dict[str, Any]


def block(process: Process, until: Callable[[], object]) -> None:
    """Hold the loop until something has happened elsewhere."""
    deadline = time.monotonic() + 60
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)


@asynccontextmanager
async def watched(process: Process) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in (process.lag.run(), process.heartbeat.run())]
    await eventually(lambda: bool(process.supervision.signs))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def a_blocking(work: Callable[[], Awaitable[None]]) -> Handler:
    @handler("blocking")
    async def blocking(job: Payload, ctx: JobContext) -> None:
        await work()

    return blocking


@handler("polite")
async def polite(job: Payload, ctx: JobContext) -> None:
    await asyncio.sleep(60)


def _warned(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if "holds the event loop" in each.getMessage()]


async def _run(
    process: Process, caplog: pytest.LogCaptureFixture
) -> tuple[Running, list[logging.LogRecord]]:
    async with watched(process):
        beside = await process.start(a_claimed_job("polite"))
        running = await process.start(a_claimed_job("blocking"))
        await eventually(lambda: running.ended > 0)
        await eventually(lambda: any("runs again" in each.getMessage() for each in caplog.records))
    beside.stop()
    return running, _warned(caplog)


async def test_a_handler_that_holds_the_loop_is_named_while_it_holds_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        block(process, lambda: _warned(caplog))

    process = Process(a_blocking(work), polite)
    running, (record,) = await _run(process, caplog)

    assert vars(record)["types"] == ["blocking"]
    assert vars(record)["job_ids"] == [str(running.job_id)]
    assert "in work" in vars(record)["stack"]
    assert "executor.py" not in vars(record)["stack"]


async def test_a_task_of_a_handler_is_found_by_its_code(caplog: pytest.LogCaptureFixture) -> None:
    process: Process

    @handler("blocking")
    async def blocking(job: Payload, ctx: JobContext) -> None:
        async def aux() -> None:
            block(process, lambda: _warned(caplog))

        await asyncio.create_task(aux())

    process = Process(blocking, polite)
    running, (record,) = await _run(process, caplog)

    assert vars(record)["job_ids"] == [str(running.job_id)]


async def test_a_loop_that_nobody_known_holds_is_told_with_its_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process(polite)

    def told() -> list[logging.LogRecord]:
        return [each for each in caplog.records if "no handler that is known" in each.getMessage()]

    async with watched(process):
        running = await process.start(a_claimed_job("polite"))
        await eventually(lambda: running.started > 0)
        asyncio.get_running_loop().call_soon(block, process, told)
        await eventually(lambda: bool(told()))
    running.stop()

    assert "in block" in vars(told()[0])["stack"]


async def test_a_loop_that_is_held_for_too_long_ends_the_process_and_the_blame_is_recorded() -> (
    None
):
    async def work() -> None:
        block(process, process.supervision.replacing.is_set)

    process = Process(a_blocking(work), polite, ttl_s=1)
    async with watched(process):
        beside = await process.start(a_claimed_job("polite"))
        running = await process.start(a_claimed_job("blocking"))
        await eventually(process.supervision.replacing.is_set)
    beside.stop()

    assert process.names.ended == [([running.identity.id], [running.job_id])]


async def test_time_in_which_the_whole_process_stood_still_is_no_handlers_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process()
    now = time.monotonic()
    await process.watchdog.look(now)
    process.lag.ticked = now

    await process.watchdog.look(now + 600)

    (record,) = caplog.records
    assert "the process stood still" in record.getMessage()
    assert not process.supervision.replacing.is_set()


async def test_the_supervisor_hears_what_runs() -> None:
    process = Process(polite)
    async with watched(process):
        running = await process.start(a_claimed_job("polite"))
        await eventually(lambda: bool(process.supervision.signs[-1][1]))
    running.stop()

    ((attempt,),) = (process.supervision.signs[-1][1],)
    assert (attempt.job_id, attempt.type) == (running.job_id, "polite")


class CallableObject:
    def __call__(self, job: Payload, ctx: JobContext) -> None: ...


def test_the_code_of_a_handler_is_found_below_what_wraps_it() -> None:
    def plain(job: Payload, ctx: JobContext) -> None: ...

    @functools.wraps(plain)
    def wrapped(*arguments: Any) -> None:
        plain(*arguments)

    assert code_of(plain) is plain.__code__
    assert code_of(wrapped) is plain.__code__
    assert code_of(functools.partial(wrapped)) is plain.__code__
    assert code_of(CallableObject()) is CallableObject.__call__.__code__
    assert code_of(print) is None
