from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from internal.domain.declaring import handler
from internal.domain.errors import UnavailableError
from internal.domain.handlers import JobContext
from internal.domain.ports.work import Beat
from internal.services.worker.heart import LINGER_S
from internal.services.worker.running import Identity, Running
from tests.support.conditions import eventually
from tests.support.work import Names, Process, a_claimed_job

Payload = dict[str, Any]


@handler("noop")
async def noop(job: Payload, ctx: JobContext) -> None: ...


@handler("endless")
async def endless(job: Payload, ctx: JobContext) -> None:
    await asyncio.sleep(60)


async def ended(process: Process, running: Running) -> None:
    """Let an attempt end, whose end then waits to be recorded."""
    assert running.task is not None
    await asyncio.wait_for(running.task, 10)


def let_time_pass(identity: Identity) -> None:
    """As if the name had been given up long ago."""
    identity.given_up -= LINGER_S + 1


async def test_a_retiring_name_holds_an_ended_job_until_its_end_is_recorded() -> None:
    process = Process(noop)
    running = await process.start(a_claimed_job())
    identity = running.identity
    process.heart.retire()
    let_time_pass(identity)
    await ended(process, running)

    await process.heart.run_once()
    assert process.names.beats == [(identity.id, [running.job_id])]
    assert process.names.left == []
    await process.completer.run_once()
    await process.heart.run_once()

    assert process.names.beats[1:] == [(identity.id, [])]
    assert process.names.left == [identity.id]
    assert process.slots.identities == []


async def test_an_end_from_before_its_name_was_given_up_is_held_as_well() -> None:
    process = Process(noop)
    running = await process.start(a_claimed_job())
    await ended(process, running)
    process.heart.retire()

    await process.heart.run_once()

    assert process.names.beats == [(running.identity.id, [running.job_id])]


async def test_a_retiring_name_holds_what_is_buffered_under_it() -> None:
    process = Process()
    identity = await process.heart.begin()
    job = a_claimed_job()
    process.slots.buffer.put(identity, [job])
    process.heart.retire()

    await process.heart.run_once()

    assert process.names.beats == [(identity.id, [job.id])]


async def test_a_given_up_name_beats_on_while_a_claim_for_it_may_still_commit() -> None:
    process = Process()
    identity = await process.heart.begin()
    process.heart.retire()

    await process.heart.run_once()
    assert process.names.left == []
    let_time_pass(identity)
    await process.heart.run_once()

    assert process.names.left == [identity.id]


async def test_a_name_that_cannot_beat_does_not_keep_the_others_from_it() -> None:
    process = Process()
    first = await process.heart.begin()
    process.heart.retire()
    second = await process.heart.begin()
    process.names.failing[first.id] = RuntimeError("its leases cannot be handed back")

    with pytest.raises(RuntimeError):
        await process.heart.run_once()

    assert {name for name, _ in process.names.beats} == {first.id, second.id}


async def test_a_cancel_is_told_to_what_runs_and_hands_back_what_does_not() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))
    job = a_claimed_job()
    process.slots.buffer.put(running.identity, [job])
    process.names.canceled = {running.job_id, job.id}

    await process.heart.run_once()
    await process.completer.run_once()

    assert running.canceled
    assert process.ends.handed_back == [job.lease]
    assert len(process.slots.buffer) == 0
    running.stop()


async def test_a_beat_tells_what_runs_and_the_longest_lag_since_the_last() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))
    process.lag.note(0.2)
    process.lag.note(0.1)

    await process.heart.run_once()
    await process.heart.run_once()

    assert process.names.loads == [(1, 200), (1, 0)]
    running.stop()


class Frozen(Names):
    """Does not even end when it is canceled, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def beat(
        self,
        worker_id: str,
        ttl: timedelta,
        held: Sequence[UUID] | None = None,
        *,
        running: int = 0,
        lag_ms: int = 0,
    ) -> Beat:
        while not self.let_go.is_set():
            with suppress(asyncio.CancelledError):
                await self.let_go.wait()
        raise UnavailableError


async def test_leases_count_as_lost_when_no_answer_came_for_as_long_as_they_last() -> None:
    frozen = Frozen()
    process = Process(endless, names=frozen, ttl_s=0.05)
    running = await process.start(a_claimed_job("endless"))
    process.slots.buffer.put(running.identity, [a_claimed_job()])
    await eventually(lambda: running.started > 0)

    with pytest.raises(UnavailableError):
        await asyncio.wait_for(process.heart.run_once(), 10)

    assert running.lost
    assert running.task is not None
    assert running.task.cancelling()
    assert len(process.slots.buffer) == 0
    assert process.slots.current is None
    frozen.let_go.set()
