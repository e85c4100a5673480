from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from internal.domain.declaring import handler
from internal.domain.errors import UnavailableError
from internal.domain.handlers import JobContext
from internal.domain.ports.work import Beat
from tests.support.conditions import eventually
from tests.support.work import Names, Process, a_claimed_job

Payload = dict[str, Any]


@handler("endless")
async def endless(job: Payload, ctx: JobContext) -> None:
    await asyncio.sleep(60)


@asynccontextmanager
async def beating(process: Process) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(process.heartbeat.run())
    ticking = asyncio.create_task(process.lag.run())
    try:
        yield task
    finally:
        task.cancel()
        ticking.cancel()
        await asyncio.wait({task, ticking})


async def test_leases_are_renewed_while_the_loop_is_blocked() -> None:
    process = Process(ttl_s=60)
    identity = await process.heart.begin()
    async with beating(process):
        await eventually(lambda: bool(process.names.beats))
        before = len(process.names.beats)
        until = time.monotonic() + 30
        while len(process.names.beats) < before + 2 and time.monotonic() < until:
            time.sleep(0.05)  # noqa: ASYNC251 - what this is about

    assert len(process.names.beats) >= before + 2
    assert identity.renewed > 0
    assert not identity.lost


async def test_names_that_were_given_up_are_renewed_too() -> None:
    process = Process()
    first = await process.heart.begin()
    process.heart.retire()
    second = await process.heart.begin()

    async with beating(process):
        await eventually(lambda: {n for n, _ in process.names.beats} == {first.id, second.id})


async def test_a_name_that_cannot_beat_does_not_keep_the_others_from_it() -> None:
    process = Process()
    first = await process.heart.begin()
    process.heart.retire()
    second = await process.heart.begin()
    process.names.failing[first.id] = RuntimeError("a bug")

    async with beating(process):
        await eventually(lambda: {n for n, _ in process.names.beats} == {first.id, second.id})


async def test_a_cancel_is_told_to_what_runs_and_hands_back_what_does_not() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))
    job = a_claimed_job()
    process.slots.buffer.put(running.identity, [job])
    process.names.canceled = {running.job_id, job.id}

    async with beating(process):
        await eventually(lambda: running.canceled)
    await process.completer.run_once()

    assert process.ends.handed_back == [job.lease]
    assert len(process.slots.buffer) == 0
    running.stop()


async def test_a_wake_up_is_a_beat_at_once() -> None:
    process = Process()
    await process.heart.begin()
    async with beating(process):
        await eventually(lambda: bool(process.names.beats))
        before = len(process.names.beats)
        for _ in range(5):
            process.heartbeat.wake()
            await eventually(partial(_has_beaten_more_than, process, len(process.names.beats)))

    assert len(process.names.beats) >= before + 5


def _has_beaten_more_than(process: Process, count: int) -> bool:
    return len(process.names.beats) > count


async def test_a_beat_tells_what_runs_and_the_longest_lag_since_the_last() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))
    process.lag.note(0.2)
    process.lag.note(0.1)
    async with beating(process):
        await eventually(lambda: bool(process.names.loads))

    count, lag_ms = process.names.loads[0]
    assert count == 1
    assert lag_ms >= 200
    running.stop()


class Frozen(Names):
    """Does not answer, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    async def beat(
        self,
        worker_id: str,
        ttl: timedelta,
        held: Sequence[UUID] | None = None,
        *,
        running: int = 0,
        lag_ms: int = 0,
    ) -> Beat:
        await asyncio.to_thread(self.let_go.wait)
        raise UnavailableError


async def test_leases_count_as_lost_when_no_answer_came_for_as_long_as_they_last() -> None:
    frozen = Frozen()
    process = Process(endless, names=frozen, ttl_s=0.3)
    running = await process.start(a_claimed_job("endless"))
    process.slots.buffer.put(running.identity, [a_claimed_job()])
    await eventually(lambda: running.started > 0)

    async with beating(process):
        await eventually(lambda: running.lost)
        frozen.let_go.set()

    assert running.task is not None
    assert running.task.cancelling()
    assert len(process.slots.buffer) == 0
    assert process.slots.current is None


async def test_the_end_of_the_thread_ends_the_process_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = Process()

    async def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(process.watchdog, "run", fail)

    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(process.heartbeat.run(), 30)
