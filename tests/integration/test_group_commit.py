"""Lone submissions that meet are written together, and nobody notices."""

from __future__ import annotations

import asyncio

import asyncpg
import msgspec

from internal.domain.accounts import Actor
from internal.domain.errors import IdempotencyConflictError, UnauthenticatedError, UnavailableError
from internal.domain.jobs import Status
from internal.domain.ports.jobs import Submitted
from internal.domain.submission import NewJob
from tests.support.postgres import on_every_postgres
from tests.support.store import Store, a_job, open_store
from tests.support.wire import Wire, wiretap


async def _submit(store: Store, actor: Actor, job: NewJob) -> Submitted:
    (submitted,) = await store.submissions.submit(actor, [job])
    return submitted


async def test_submissions_that_meet_share_a_statement_whoever_made_them(
    tapped: tuple[Store, Wire],
) -> None:
    store, wire = tapped
    actors = [await store.a_user() for _ in range(3)]
    for actor in actors:
        await store.submit(actor)
    wire.forget()

    both = await asyncio.gather(*(store.submit(actor) for actor in actors * 10))

    assert wire.statements == wire.round_trips < len(both)
    for actor, submitted in zip(actors * 10, both, strict=True):
        assert (await store.job(actor, submitted.id)).status is Status.QUEUED


@on_every_postgres
async def test_a_key_that_comes_often_at_once_is_one_job(database_url: str) -> None:
    async with open_store(database_url) as one, open_store(database_url) as other:
        actor = await one.a_user()
        both = await asyncio.gather(
            *(store.submit(actor, idempotency_key="k") for store in (one, other) * 20)
        )
        kept = [each for each in both if not each.deduplicated]
        assert len(kept) == 1
        assert {each.id for each in both} == {kept[0].id}


async def test_of_one_key_within_a_group_only_other_requests_are_refused(store: Store) -> None:
    actor, stranger = await store.a_user(), await store.a_user()
    jobs = [
        (actor, a_job(idempotency_key="k", payload={"n": 1})),
        (actor, a_job(idempotency_key="k", payload={"n": 2})),
        (stranger, a_job(idempotency_key="k", payload={"n": 2})),
        (actor, a_job(idempotency_key="k", payload={"n": 1})),
        (actor, a_job()),
    ]
    ahead = asyncio.create_task(store.submit(stranger))
    ends = await asyncio.gather(*(_submit(store, *each) for each in jobs), return_exceptions=True)
    await ahead

    first, conflict, of_stranger, again, keyless = ends
    assert isinstance(conflict, IdempotencyConflictError)
    assert isinstance(first, Submitted)
    assert isinstance(again, Submitted)
    assert (first.deduplicated, again.deduplicated, again.id) == (False, True, first.id)
    for fresh in (of_stranger, keyless):
        assert isinstance(fresh, Submitted)
        assert not fresh.deduplicated


async def test_a_job_that_cannot_be_kept_does_not_fail_its_neighbours(store: Store) -> None:
    actor, deleted = await store.a_user(), await store.a_user()
    await store.submit(actor)
    await store.execute("delete from account where id = $1", deleted.user_id)
    broken = msgspec.structs.replace(a_job(), payload="{")

    ahead = asyncio.create_task(store.submit(actor))
    *neighbours, of_nobody, unreadable = await asyncio.gather(
        *(store.submit(actor) for _ in range(3)),
        store.submit(deleted),
        _submit(store, actor, broken),
        return_exceptions=True,
    )
    await ahead

    assert isinstance(of_nobody, UnauthenticatedError)
    assert isinstance(unreadable, asyncpg.InvalidTextRepresentationError)
    for each in neighbours:
        assert isinstance(each, Submitted)
        assert (await store.job(actor, each.id)).status is Status.QUEUED


async def test_a_client_who_hangs_up_does_not_disturb_the_others(store: Store) -> None:
    actor = await store.a_user()
    tasks = [asyncio.create_task(store.submit(actor)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    for submitted in await asyncio.gather(*tasks[1::2]):
        assert (await store.job(actor, submitted.id)).status is Status.QUEUED


async def test_each_of_a_group_hears_that_the_database_is_away(database_url: str) -> None:
    async with wiretap(database_url) as (url, _), open_store(url) as store:
        actor = await store.a_user()
        await store.submit(actor)
    # Nobody listens at this address any more.
    async with open_store(url) as store:
        ends = await asyncio.gather(
            *(store.submit(actor) for _ in range(5)), return_exceptions=True
        )
    assert [type(end) for end in ends] == [UnavailableError] * 5
