"""What is told of, and from when on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.jobs import Status
from internal.domain.listing import JobFilter, Page
from internal.domain.ports.feed import Change, Kind
from internal.domain.ports.work import Lease, Progress
from internal.services.audience import Audience
from internal.services.watcher import Signal
from tests.support.conditions import eventually
from tests.support.postgres import on_every_postgres
from tests.support.store import Store, a_job, an_end

TTL = timedelta(seconds=90)
LATER = "2100-01-01T00:00:00Z"
CANCELED = JobFilter(status=(Status.CANCELED,))


@on_every_postgres
async def test_what_nobody_listens_to_is_not_noted_down(store: Store) -> None:
    actor = await store.a_user()
    await what_workers_do(store, actor)
    await what_owners_do(store, actor)
    assert await told(store) == []


@on_every_postgres
async def test_what_somebody_listens_to_is_told(store: Store) -> None:
    actor = await store.a_watching_user()
    jobs = [await what_workers_do(store, actor), await what_owners_do(store, actor)]
    changes = await told(store)
    assert {each.user_id for each in changes} == {actor.user_id}
    by_kind = [(each.kind is Kind.PROGRESS, each.ids) for each in changes]
    assert by_kind == [
        *[(False, (jobs[0],))] * 4,
        (True, (jobs[0],)),
        *[(False, (jobs[0],))] * 2,
        *[(False, (jobs[1],))] * 5,
        (False, None),  # a job that is gone has no picture to show
    ]


async def test_more_than_a_hundred_at_once_are_not_named(store: Store) -> None:
    actor = await store.a_watching_user()
    for number in (100, 101):
        await store.submissions.submit(actor, [a_job(run_at=LATER) for _ in range(number)])
    named, unnamed = await told(store)
    assert named.ids is not None
    assert len(named.ids) == 100
    assert unnamed.ids is None
    await store.execute("update scheduled set run_at = now()")
    await store.upkeep.stage_due(100)
    await store.upkeep.stage_due(101)
    assert [each.ids is None for each in (await told(store))[2:]] == [False, True]


async def test_listeners_are_kept_until_they_expire(store: Store) -> None:
    one, other = await store.a_user(), await store.a_user()
    assert await store.feed.listen([one.user_id], TTL) == {one.user_id}
    both = [one.user_id, other.user_id]
    assert await store.feed.listen(both, TTL) == {other.user_id}
    await store.feed.listen(both, timedelta(0))
    await store.sweep()
    assert await store.feed.listen(both, timedelta(0)) == set()
    await store.execute("update listener set expires_at = now()")
    await store.sweep()
    assert await store.feed.listen(both, TTL) == set(both)


async def test_processes_that_renew_the_same_users_do_not_disturb_each_other(store: Store) -> None:
    users = [(await store.a_user()).user_id for _ in range(20)]
    orders = [users, users[::-1], users[7:], users[:12][::-1]]
    new = await asyncio.gather(*(store.feed.listen(each, TTL) for each in orders * 5))
    assert set().union(*new) == set(users)


@on_every_postgres
async def test_nobody_is_ready_while_a_change_may_still_go_by_untold(store: Store) -> None:
    """A transaction that looked for listeners before there was one, and commits afterwards."""
    actor = await store.a_user()
    job = await store.submit(actor)
    audience = Audience(store.feed)
    async with store.database.hot() as early:
        transaction = early.transaction()
        await transaction.start()
        await cancel_on(early, actor, job.id)
        watcher = audience.join(actor)
        assert await audience.run_once() is not None
        await watcher.begin(0)  # in vain: it is told by a resync when it may have missed something
        assert await audience.run_once() is not None
        await transaction.commit()

    assert await audience.run_once() is None

    assert await watcher.next() == [Signal.RESYNC]
    assert await told(store) == []
    late = await store.submit(actor)
    assert [each.ids for each in await told(store)] == [(late.id,)]


@on_every_postgres
async def test_a_statement_that_has_yet_to_write_is_waited_for_too(store: Store) -> None:
    """It has no transaction number yet, but looked at the listeners as they were."""
    actor = await store.a_user()
    job = await store.submit(actor)
    audience = Audience(store.feed)
    async with locked(store, job.id):
        canceling = asyncio.create_task(store.commands.cancel(actor, job.id))
        await eventually(lambda: somebody_waits(store))
        watcher = audience.join(actor)
        assert await audience.run_once() is not None
        beginning = asyncio.create_task(watcher.begin(within_s=1_000))
        await asyncio.sleep(0)
        assert not beginning.done()
    await canceling

    assert await audience.run_once() is None

    await beginning
    assert await told(store) == []


@on_every_postgres
async def test_readers_and_dumps_do_not_hold_up_anybody(store: Store) -> None:
    actor = await store.a_user()
    async with store.database.hot() as reader, reader.transaction(isolation="repeatable_read"):
        await reader.fetch("select from job, outbox, listener")
        await reader.execute("lock table outbox, listener, job in access share mode")
        audience = Audience(store.feed)
        watcher = audience.join(actor)
        assert await audience.run_once() is None
        await watcher.begin(within_s=1_000)


async def test_every_change_is_in_the_list_or_is_told(store: Store) -> None:
    """Users begin to watch while their jobs are being canceled, by many connections at once."""
    actors = [await store.a_user() for _ in range(30)]
    jobs = {each.user_id: await some_jobs(store, each) for each in actors}
    seen: dict[UUID, set[UUID]] = {}
    audience = Audience(store.feed)
    listening = asyncio.create_task(audience.duty.run(store.wakeups))

    async def cancel_every_sixth(first: int) -> None:
        async with store.database.hot() as connection:
            for number in range(first, 30, 6):
                for actor in actors:
                    async with connection.transaction():
                        await cancel_on(connection, actor, jobs[actor.user_id][number])
                        await connection.execute("select pg_sleep(0.001)")

    async def watch() -> None:
        for actor in actors:
            await audience.join(actor).begin(within_s=1_000)
            page = await store.listing.page(actor, CANCELED, Page(limit=100))
            seen[actor.user_id] = {each.id for each in page.jobs}

    await asyncio.gather(watch(), *(cancel_every_sixth(each) for each in range(6)))
    listening.cancel()
    for change in await told(store):
        seen[change.user_id] |= set(change.ids or ())
    assert seen == {user_id: set(each) for user_id, each in jobs.items()}


async def what_owners_do(store: Store, actor: Actor) -> UUID:
    """Everything that the owner of a job and the stager may do to it, one after the other."""
    job = await store.submit(actor, run_at=LATER)
    await store.execute("update scheduled set run_at = now()")
    await store.upkeep.stage_due(10)
    await store.commands.cancel(actor, job.id)
    await store.commands.retry(actor, job.id)
    await store.commands.cancel(actor, job.id)
    await store.commands.delete(actor, job.id)
    return job.id


async def what_workers_do(store: Store, actor: Actor) -> UUID:
    """Everything that a worker may do to a job, one after the other."""
    job = await store.submit(actor)
    worker = await store.a_worker()
    claimed = await store.claim_one(worker)
    await store.work.hand_back([(Lease(claimed.id, claimed.token), 0)])
    claimed = await store.claim_one(worker)
    await store.work.progress({Lease(claimed.id, claimed.token): Progress(0.5)})
    await store.commands.cancel(actor, job.id)
    await store.work.finish([an_end(claimed)])
    return job.id


async def told(store: Store) -> list[Change]:
    while await store.feed.relay(1000):
        pass
    return await store.feed.after(0, 100_000)


async def some_jobs(store: Store, actor: Actor) -> list[UUID]:
    jobs = await store.submissions.submit(actor, [a_job() for _ in range(30)])
    return [each.id for each in jobs]


async def cancel_on(connection: Hot, actor: Actor, job_id: UUID) -> None:
    """Cancel a job in the transaction of that connection."""
    assert await connection.fetch(statement("cancel"), actor.user_id, [job_id])


@asynccontextmanager
async def locked(store: Store, job_id: UUID) -> AsyncIterator[None]:
    """A queued job that nobody else can touch."""
    async with store.database.hot() as holder, holder.transaction():
        await holder.execute("select from ready where job_id = $1 for update", job_id)
        yield


async def somebody_waits(store: Store) -> bool:
    waits = "select exists (select from pg_locks where not granted)"
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(waits))
