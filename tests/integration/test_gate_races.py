"""What is moved while its gate is being looked at, forced with locks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.ends import record, unstarted
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.jobs import Status
from internal.domain.queues import QueueSettings
from tests.support.gates import let_through
from tests.support.locks import a_transaction, waiting
from tests.support.postgres import on_every_postgres
from tests.support.store import AGING, ROUTES, Store, an_end

Meddle = Callable[[Hot, Actor, object], Awaitable[object]]


async def _cancel(connection: Hot, actor: Actor, job_id: object) -> None:
    await connection.fetch(statement("cancel"), actor.user_id, [job_id])


async def _edit(connection: Hot, actor: Actor, job_id: object) -> None:
    await connection.fetch(statement("edit"), actor.user_id, job_id, "{}")


async def _expire(connection: Hot, actor: Actor, job_id: object) -> None:
    await connection.execute("update expiry set at = now() where job_id = $1", job_id)
    await connection.fetch(statement("expire"), 100)


@on_every_postgres
@pytest.mark.parametrize("meddle", [_cancel, _edit, _expire])
async def test_a_job_that_moves_just_then_takes_no_place(store: Store, meddle: Meddle) -> None:
    actor = await store.a_user()
    await store.a_worker()
    fields = {"concurrency_key": "one", "expires_at": "2100-01-01T00:00:00Z"}
    first = await store.submit(actor, **fields)
    second = await store.submit(actor, **fields)
    async with a_transaction(store) as connection:
        await meddle(connection, actor, first.id)
        looking = asyncio.create_task(store.upkeep.admit(100))
        await waiting(store, 1)
    await looking

    await let_through(store)

    ran = []
    while claimed := await store.work.claim(await store.a_worker(), ROUTES, 10):
        ran += [job.id for job in claimed]
        await store.work.finish([an_end(job) for job in claimed])
        await let_through(store)
    assert ran == ([first.id, second.id] if meddle is _edit else [second.id])
    assert (await store.job(actor, second.id)).status is Status.SUCCEEDED


@on_every_postgres
async def test_a_job_that_is_edited_just_then_is_not_left_behind(store: Store) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "default", QueueSettings(max_running=10))
    worker = await store.a_worker()
    first, second = await store.submit(actor), await store.submit(actor)
    async with a_transaction(store) as connection:
        await _edit(connection, actor, first.id)
        looking = asyncio.create_task(store.upkeep.admit(100))
        await waiting(store, 1)
    await looking

    ran = []
    for _ in range(2):  # the second passed; with its end the gate is looked at again
        await let_through(store)
        claimed = await store.work.claim(worker, ROUTES, 10)
        ran += [job.id for job in claimed]
        await store.work.finish([an_end(job) for job in claimed])
    assert sorted(ran) == sorted([first.id, second.id])


async def test_a_job_that_is_handed_back_while_its_queue_closes_is_not_left_asleep(
    store: Store,
) -> None:
    """Its user is being served, so that whoever hands it back does not wait for them."""
    actor, worker = await store.a_user(), await store.a_worker()
    await store.queues.set(actor, "q", QueueSettings(max_running=3))
    job = await store.submit(actor, queue="q")
    await let_through(store)
    claimed = await store.claim_one(worker)
    for _ in range(20):
        await store.submit(actor, queue="other")
    await store.work.claim(worker, ROUTES, 3)
    await store.queues.set(actor, "q", QueueSettings())
    await store.queues.set(actor, "q", QueueSettings(max_running=3))
    async with a_transaction(store) as connection:
        await record(connection, AGING, [unstarted(job.id, claimed.token, claimed.attempts)])
        await let_through(store)
    await let_through(store)

    assert job.id in {each.id for each in await store.work.claim(worker, ROUTES, 100)}


async def test_who_retries_an_expired_job_by_hand_means_it(store: Store) -> None:
    actor = await store.a_user()
    job = await store.submit(actor, expires_at="2100-01-01T00:00:00Z")
    await store.execute("update job set expires_at = now() where id = $1", job.id)
    claimed = await store.claim_one(await store.a_worker())
    assert claimed.expired
    await store.work.hand_back([(claimed.lease, claimed.attempts)])
    await store.commands.cancel(actor, job.id)

    await store.commands.retry(actor, job.id)

    assert not (await store.claim_one(await store.a_worker())).expired
