from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import Handler, JobContext
from internal.domain.jobs import Outcome
from internal.domain.ports.work import Finish
from internal.services.worker.deadlines import Deadlines
from tests.support.conditions import eventually
from tests.support.work import Process, a_claimed_job

Payload = dict[str, Any]
BRIEF_MS = 1


class Watched:
    """A process whose deadlines are watched."""

    def __init__(self, *handlers: Handler) -> None:
        self.process = Process(*handlers)
        self.deadlines = Deadlines(self.process.slots, self.process.executor)

    async def end_of(self, type_: str, timeout_ms: int = BRIEF_MS) -> Finish:
        running = await self.process.start(a_claimed_job(type_, timeout_ms=timeout_ms))
        assert running.task is not None
        await asyncio.wait_for(running.task, 10)
        await self.process.completer.run_once()
        return self.process.ends.recorded[-1]


@handler("endless")
async def endless(job: Payload, ctx: JobContext) -> None:
    await asyncio.sleep(60)


@handler("stubborn")
async def stubborn(job: Payload, ctx: JobContext) -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "done all the same"
    raise AssertionError


@handler("translating")
async def translating(job: Payload, ctx: JobContext) -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise ValueError("interrupted") from None


class Uncancelable(asyncio.Future[None]):
    awaited: Uncancelable

    def cancel(self, msg: Any = None) -> bool:
        raise SystemExit("not now")


@handler("uncancelable")
async def uncancelable(job: Payload, ctx: JobContext) -> None:
    Uncancelable.awaited = Uncancelable()
    await Uncancelable.awaited


@handler("own timeout")
async def own_timeout(job: Payload, ctx: JobContext) -> None:
    async with asyncio.timeout(0):
        await asyncio.sleep(60)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched(endless, stubborn, translating, own_timeout, uncancelable)
    living = asyncio.create_task(watched.deadlines.run())
    yield watched
    living.cancel()


async def test_an_attempt_ends_as_timed_out_when_its_time_is_up(watched: Watched) -> None:
    end = await watched.end_of("endless")

    assert (end.outcome, end.error) == (Outcome.TIMED_OUT, "timed out after 0.001 s")


async def test_a_handler_that_ends_well_on_its_timeout_has_succeeded(watched: Watched) -> None:
    assert (await watched.end_of("stubborn")).result == '"done all the same"'


async def test_what_a_handler_raises_on_its_timeout_is_its_own_error(watched: Watched) -> None:
    end = await watched.end_of("translating")

    assert end.outcome is Outcome.FAILED
    assert (end.error or "").startswith("ValueError: interrupted\n  at ")


async def test_a_timeout_of_the_handlers_own_is_a_failure(watched: Watched) -> None:
    end = await watched.end_of("own timeout", timeout_ms=60_000)

    assert (end.outcome, (end.error or "").splitlines()[0]) == (Outcome.FAILED, "TimeoutError")


async def test_what_cannot_be_told_to_stop_is_given_up_and_the_others_still_have_deadlines(
    watched: Watched,
) -> None:
    running = await watched.process.start(a_claimed_job("uncancelable", timeout_ms=BRIEF_MS))
    await eventually(lambda: len(watched.process.slots.hung) == 1)

    assert (await watched.end_of("endless")).outcome is Outcome.TIMED_OUT
    assert [end.outcome for end in watched.process.ends.recorded] == [Outcome.TIMED_OUT] * 2

    Uncancelable.awaited.set_result(None)  # else nothing could end the loop of the tests
    assert running.task is not None
    await running.task


async def test_a_stop_that_comes_with_the_timeout_releases() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))
    await eventually(lambda: running.started > 0)

    running.time_out()
    running.stop()
    assert running.task is not None
    await running.task
    await process.completer.run_once()

    assert [end.outcome for end in process.ends.recorded] == [Outcome.RELEASED]


async def test_what_waits_to_be_recorded_has_no_deadline() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless", timeout_ms=BRIEF_MS))
    running.begin()
    running.end()

    Deadlines(process.slots, process.executor).run_once()

    assert not running.timed_out
    running.stop()


async def test_a_thread_that_outlives_its_timeout_keeps_its_slot_until_it_returns(
    watched: Watched,
) -> None:
    release = threading.Event()

    @handler("hang")
    def hang(job: Payload, ctx: JobContext) -> None:
        release.wait()

    hanging = Watched(hang)
    living = asyncio.create_task(hanging.deadlines.run())
    end = await hanging.end_of("hang")
    living.cancel()

    assert end.outcome is Outcome.TIMED_OUT
    assert (len(hanging.process.slots.hung), hanging.process.slots.free) == (1, 3)
    release.set()
    await eventually(lambda: hanging.process.slots.free == 4)
