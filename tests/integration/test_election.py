from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from internal.adapters.postgres.leadership import PostgresLeadership
from internal.services.duty import Duty
from internal.services.election import Election
from tests.support.conditions import eventually
from tests.support.store import Store

TTL = timedelta(seconds=5)
AT_ONCE = timedelta(0)


class Candidate:
    """A process that may lead; `rounds` is how often it did its task."""

    def __init__(self, store: Store, wait: timedelta = AT_ONCE) -> None:
        self.rounds = 0
        duty = Duty("task", self._work, pause=timedelta(milliseconds=20))
        self.election = Election(
            PostgresLeadership(store.database, store.wakeups), [duty], wait=wait
        )

    async def _work(self) -> None:
        self.rounds += 1

    @asynccontextmanager
    async def standing(self, store: Store) -> AsyncIterator[None]:
        task = asyncio.create_task(self.election.run(store.wakeups))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def forget_to_renew(store: Store) -> None:
    await store.execute("update leader set expires_at = now() - interval '1 second'")


async def test_one_process_leads_and_another_takes_over_when_it_stops_renewing(
    store: Store,
) -> None:
    leadership = PostgresLeadership(store.database, store.wakeups)

    assert await leadership.lead("first", TTL, wait=AT_ONCE)
    assert not await leadership.lead("second", TTL, wait=AT_ONCE)
    assert await leadership.lead("first", TTL, wait=AT_ONCE)
    await forget_to_renew(store)
    assert not await leadership.lead("second", TTL, wait=timedelta(seconds=30))
    assert await leadership.lead("second", TTL, wait=AT_ONCE)
    assert not await leadership.lead("first", TTL, wait=AT_ONCE)


async def test_a_leader_that_resigns_is_followed_at_once(store: Store) -> None:
    leadership = PostgresLeadership(store.database, store.wakeups)
    await leadership.lead("first", TTL, wait=AT_ONCE)
    await leadership.resign("second", wait=AT_ONCE)
    assert not await leadership.lead("second", TTL, wait=AT_ONCE)

    await leadership.resign("first", wait=AT_ONCE)

    assert not await leadership.lead("a worker", TTL, wait=timedelta(seconds=30))
    assert await leadership.lead("second", TTL, wait=AT_ONCE)


async def test_a_worker_that_resigns_lets_another_worker_follow_at_once(store: Store) -> None:
    leadership = PostgresLeadership(store.database, store.wakeups)
    wait = timedelta(seconds=30)
    await leadership.lead("first", TTL, wait=wait)

    await leadership.resign("first", wait=wait)

    assert await leadership.lead("second", TTL, wait=wait)


async def test_a_leader_whose_connection_has_ended_is_followed_at_once(store: Store) -> None:
    leadership = PostgresLeadership(store.database, store.wakeups)
    listening = asyncio.create_task(store.wakeups.run())
    await eventually(lambda: store.wakeups.session is not None)
    assert await leadership.lead("first", TTL, wait=AT_ONCE)
    assert not await leadership.lead("second", TTL, wait=AT_ONCE)
    listening.cancel()
    await asyncio.wait({listening})

    await eventually(lambda: leadership.lead("second", TTL, wait=timedelta(hours=1)))


async def test_only_one_of_many_candidates_is_elected(store: Store) -> None:
    leadership = PostgresLeadership(store.database, store.wakeups)
    stand = [leadership.lead(f"candidate {n}", TTL, wait=AT_ONCE) for n in range(10)]

    assert sum(await asyncio.gather(*stand)) == 1


async def test_periodic_tasks_run_in_the_leader_only_and_move_with_it(store: Store) -> None:
    first, second = Candidate(store), Candidate(store)
    async with second.standing(store):
        async with first.standing(store):
            await eventually(lambda: first.rounds + second.rounds > 3)
            leader, other = (first, second) if first.rounds else (second, first)
            assert other.rounds == 0
        await eventually(lambda: second.rounds > 3)
        seen = first.rounds
        await eventually(lambda: second.rounds > 10)

    assert first.rounds == seen
    assert leader.rounds


async def test_a_leader_that_lost_its_place_stops_and_may_lead_again(store: Store) -> None:
    candidate = Candidate(store)
    async with candidate.standing(store):
        await eventually(lambda: candidate.rounds > 0)
        await store.execute(
            "update leader set holder = 'another', expires_at = now() + interval '1 hour'"
        )
        await eventually(lambda: _rests(candidate))
        await forget_to_renew(store)
        seen = candidate.rounds
        await eventually(lambda: candidate.rounds > seen)


async def _rests(candidate: Candidate) -> bool:
    seen = candidate.rounds
    await asyncio.sleep(0.2)
    return candidate.rounds == seen
