from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from internal.domain.declaring import handler
from internal.domain.errors import UnavailableError
from internal.domain.handlers import JobContext
from internal.domain.ids import new_id
from internal.domain.ports.work import ClaimedJob
from internal.services.worker import producer as producer_module
from tests.support.conditions import eventually
from tests.support.wakeups import SilentWakeups
from tests.support.work import Process, a_claimed_job, producing

Payload = dict[str, Any]


@handler("noop")
async def noop(job: Payload, ctx: JobContext) -> None: ...


@handler("endless")
async def endless(job: Payload, ctx: JobContext) -> None:
    await asyncio.sleep(60)


async def test_what_was_claimed_while_stopping_is_handed_back() -> None:
    process = Process(noop)
    job = a_claimed_job()
    process.queue.waiting = [job]
    process.queue.meanwhile = process.producer.stop

    await process.producer.run(SilentWakeups())
    await process.completer.run_once()

    assert process.ends.handed_back == [job.lease]
    assert not process.slots.running


async def test_a_stop_hands_back_what_was_claimed_ahead() -> None:
    process = Process(endless)
    running = await process.start(a_claimed_job("endless"))
    ahead = [a_claimed_job() for _ in range(3)]
    process.slots.buffer.put(running.identity, ahead)

    process.producer.stop()
    await process.completer.run_once()

    assert process.ends.handed_back == [job.lease for job in ahead]
    assert running.identity.held.keys() == {running.job_id}
    running.stop()


async def test_what_is_handed_back_waits_for_a_database_that_is_away() -> None:
    process = Process(noop)
    job = a_claimed_job()
    process.queue.waiting = [job]
    process.queue.meanwhile = process.producer.stop
    process.ends.faults = [UnavailableError()]

    await process.producer.run(SilentWakeups())
    assert process.completer.unrecorded == {job.id}
    await process.completer.run_once()

    assert process.ends.handed_back == [job.lease]


async def test_what_was_claimed_under_a_name_that_was_lost_meanwhile_is_handed_back() -> None:
    process = Process(noop)
    job = a_claimed_job()
    process.queue.waiting = [job]

    def lose() -> None:
        process.slots.current = None

    process.queue.meanwhile = lose

    await process.producer.run_once()
    await process.completer.run_once()

    assert process.ends.handed_back == [job.lease]


async def test_a_claim_whose_answer_is_lost_costs_the_name_but_not_what_it_holds() -> None:
    process = Process(noop)
    held = a_claimed_job()
    identity = await process.heart.begin()
    process.slots.buffer.put(identity, [held])

    def fail() -> None:
        raise UnavailableError

    process.queue.meanwhile = fail

    await process.producer.run_once()

    assert process.slots.current is None
    assert process.slots.retiring == [identity]
    assert identity.held.keys() == {held.id}


async def test_long_jobs_are_not_claimed_ahead() -> None:
    process = Process(endless, slots=4)
    process.queue.waiting = [a_claimed_job("endless") for _ in range(20)]

    async with producing(process):
        await eventually(lambda: len(process.slots.running) == 4)

        assert len(process.queue.waiting) == 16


async def test_short_jobs_are_claimed_ahead_by_the_hundred() -> None:
    process = Process(noop, slots=4)
    process.queue.waiting = [a_claimed_job() for _ in range(20_000)]

    async def flush() -> None:
        while True:
            await process.completer.run_once()
            await asyncio.sleep(0)

    flushing = asyncio.create_task(flush())
    async with producing(process):
        await eventually(lambda: len(process.ends.recorded) == 20_000)
    flushing.cancel()

    assert max(limit for limit, _ in process.queue.asked) > 100


async def test_what_cannot_start_for_long_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer_module, "STALE_S", 0.0)
    process = Process(endless, slots=1)
    running = await process.start(a_claimed_job("endless"))
    stale = a_claimed_job()
    process.slots.buffer.put(running.identity, [stale])

    await process.producer.run_once()
    await process.completer.run_once()

    assert process.ends.handed_back == [stale.lease]
    running.stop()


async def test_one_users_long_jobs_leave_a_slot_to_whoever_comes() -> None:
    process = Process(endless, slots=4)
    greedy, other = new_id(), new_id()
    process.queue.waiting = [a_claimed_job("endless", user_id=greedy) for _ in range(20)]

    async with producing(process):
        await eventually(lambda: len(process.slots.running) == 3)
        await eventually(lambda: process.queue.asked[-1] == (1, [greedy]))
        process.queue.waiting.append(a_claimed_job("endless", user_id=other))
        await eventually(lambda: len(process.slots.running) == 4)

    assert len(process.queue.waiting) == 17


async def test_a_full_reserve_is_no_reason_to_ask_again_and_again() -> None:
    process = Process(endless, slots=4)
    greedy = new_id()
    process.queue.waiting = [a_claimed_job("endless", user_id=greedy) for _ in range(20)]

    async with producing(process):
        await eventually(lambda: len(process.slots.running) == 3)
        await eventually(lambda: process.queue.asked[-1] == (1, [greedy]))
        asked = len(process.queue.asked)
        for _ in range(1000):
            await asyncio.sleep(0)

        assert len(process.queue.asked) == asked


async def test_a_claim_that_found_only_locked_jobs_looks_again_soon() -> None:
    process = Process(noop, slots=4)
    process.queue.waiting = [a_claimed_job()]
    process.queue.locked = True

    async with producing(process):
        await eventually(lambda: len(process.queue.asked) > 2)
        process.queue.locked = False
        await eventually(lambda: not process.queue.waiting)


async def test_the_lowest_tag_starts_first_whenever_it_was_claimed() -> None:
    order: list[int] = []

    @handler("noting")
    async def noting(job: Payload, ctx: JobContext) -> None:
        order.append(job["number"])

    process = Process(endless, noting, slots=2)
    running = await process.start(a_claimed_job("endless"))
    heavy, light = new_id(), new_id()
    early = [_noting(number, heavy) for number in (1, 2, 3)]
    process.slots.buffer.put(running.identity, early)
    process.slots.buffer.put(running.identity, [_noting(0, light)])

    process.slots.freed()
    await eventually(lambda: len(order) == 4)

    assert order == [0, 1, 2, 3]
    running.stop()


def _noting(number: int, user_id: UUID) -> ClaimedJob:
    job = a_claimed_job("noting", user_id=user_id, tag=float(number))
    return msgspec.structs.replace(job, payload=f'{{"number": {number}}}')
