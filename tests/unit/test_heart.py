from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from internal.domain.errors import UnavailableError
from internal.domain.jobs import Outcome, Settlement, Status
from internal.domain.ports.work import Beat, Finish
from internal.services.worker.completer import Completer
from internal.services.worker.heart import Heart
from internal.services.worker.slots import Identity, Running, Slots
from tests.support.work import Ends, Names, a_claimed_job

TTL = timedelta(seconds=30)


class Body:
    """A heart and what it beats for."""

    def __init__(self, names: Names | None = None, ttl: timedelta = TTL) -> None:
        self.names = names or Names()
        self.ends = Ends()
        self.slots = Slots(4)
        self.completer = Completer(self.ends)
        self.heart = Heart(self.names, self.ends, self.slots, self.completer, ttl, ("default",))

    async def begin(self) -> Identity:
        return await self.heart.begin()

    def start(self, identity: Identity) -> Running:
        running = Running(a_claimed_job())
        identity.running[running.job_id] = running
        return running

    async def end(self, identity: Identity, running: Running) -> None:
        await self.completer.put(
            Finish(
                lease=running.lease,
                outcome=Outcome.SUCCEEDED,
                settlement=Settlement(Status.SUCCEEDED, 0),
                started_ago=timedelta(0),
                ended_ago=timedelta(0),
            )
        )
        self.slots.release(identity, running)


async def test_a_retiring_name_holds_an_ended_job_until_its_end_is_recorded() -> None:
    body = Body()
    identity = await body.begin()
    running = body.start(identity)
    body.slots.retire()
    await body.end(identity, running)

    await body.heart.run_once()
    assert body.names.beats == [(identity.id, [running.job_id])]
    assert body.names.left == []
    await body.completer.run_once()
    await body.heart.run_once()

    assert body.names.beats[1:] == [(identity.id, [])]
    assert body.names.left == [identity.id]
    assert body.slots.identities == []


async def test_what_was_recorded_is_not_held_for_ever() -> None:
    body = Body()
    identity = await body.begin()
    await body.end(identity, body.start(identity))
    await body.completer.run_once()

    await body.heart.run_once()

    assert identity.ending == set()


async def test_a_name_that_cannot_beat_does_not_keep_the_others_from_it() -> None:
    body = Body()
    first = await body.begin()
    body.start(first)
    body.slots.retire()
    second = await body.begin()
    body.names.failing[first.id] = RuntimeError("its leases cannot be handed back")

    with pytest.raises(RuntimeError):
        await body.heart.run_once()

    assert {name for name, _ in body.names.beats} == {first.id, second.id}


class Silent(Names):
    async def beat(
        self, worker_id: str, ttl: timedelta, held: Sequence[UUID] | None = None
    ) -> Beat:
        await asyncio.sleep(60)
        raise AssertionError


async def test_leases_count_as_lost_when_no_answer_came_for_as_long_as_they_last() -> None:
    body = Body(Silent(), ttl=timedelta(milliseconds=50))
    running = body.start(await body.begin())
    running.task = asyncio.create_task(asyncio.sleep(60))

    with pytest.raises(UnavailableError):
        await asyncio.wait_for(body.heart.run_once(), 10)

    assert running.lost
    assert running.task.cancelling()
    assert body.slots.current is None
