from __future__ import annotations

import asyncio
from typing import Any

import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.services.worker.heart import LINGER_S
from internal.services.worker.running import Identity, Running
from tests.support.work import Process, a_claimed_job

Payload = dict[str, Any]


@handler("noop")
async def noop(job: Payload, ctx: JobContext) -> None: ...


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


async def test_a_name_that_cannot_hand_back_does_not_keep_the_others_from_it() -> None:
    process = Process()
    names = []
    for _ in range(2):
        names.append((await process.heart.begin()).id)
        process.heart.retire()
    process.names.failing[names[0]] = RuntimeError("its leases cannot be handed back")

    with pytest.raises(RuntimeError):
        await process.heart.run_once()

    assert [name for name, _ in process.names.beats] == names


async def test_the_supervisor_knows_a_name_before_jobs_are_claimed_under_it() -> None:
    process = Process()

    identity = await process.heart.begin()

    assert process.supervision.signs == [([identity.id], [])]


async def test_a_name_that_is_lost_twice_is_lost_once(caplog: pytest.LogCaptureFixture) -> None:
    process = Process()
    identity = await process.heart.begin()

    process.heart.lose(identity)
    process.heart.lose(identity)

    assert process.slots.identities == []
    assert [record.getMessage()[:16] for record in caplog.records] == ["leases were lost"]
