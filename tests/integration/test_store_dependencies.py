"""What waits for what, at the store: whoever comes first of two that come together."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from internal.adapters.postgres.parents import MOST_RESULT_BYTES
from internal.domain.accounts import Actor
from internal.domain.errors import ValidationError
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import ClaimedJob
from tests.support.invariants import violations
from tests.support.locks import a_transaction, waiting
from tests.support.postgres import on_every_postgres
from tests.support.store import AGING, ROUTES, Store, an_end

LATER = "2100-01-01T00:00:00Z"


@pytest.fixture
async def ada(store: Store) -> Actor:
    return await store.a_user()


async def a_child(store: Store, actor: Actor, *parents: UUID, **fields: Any) -> UUID:
    ids = [str(each) for each in parents]
    return (await store.submit(actor, depends_on=ids, **fields)).id


async def a_claimed(store: Store, actor: Actor) -> ClaimedJob:
    await store.submit(actor)
    return await store.claim_one(await store.a_worker())


async def settle(store: Store, limit: int = 1000) -> None:
    while await store.upkeep.settle_dependencies(limit):
        pass


async def status_of(store: Store, actor: Actor, job_id: UUID) -> Status:
    return (await store.job(actor, job_id)).status


# What finish.sql does, in two steps.
LOCK: Final = "select from lease where job_id = $1 for update"
END: Final = """
    with gone as (delete from lease where job_id = $1 returning *)
    insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                          version, run_at, awaited, status)
    select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
           version, run_at, awaited, 4
    from gone
"""


@on_every_postgres
async def test_a_child_that_comes_while_its_parent_ends_is_released(
    store: Store, ada: Actor
) -> None:
    parent = await a_claimed(store, ada)
    async with a_transaction(store) as connection:
        await connection.execute(LOCK, parent.id)
        submitting = asyncio.create_task(a_child(store, ada, parent.id))
        await asyncio.sleep(0.1)  # it looks again and again, and waits for nobody
        assert not submitting.done()
        await connection.execute(END, parent.id)
    child = await submitting
    assert await status_of(store, ada, child) is Status.BLOCKED
    await settle(store)
    assert await status_of(store, ada, child) is Status.QUEUED


@on_every_postgres
async def test_a_parent_that_ends_while_its_child_comes_tells_of_it(
    store: Store, ada: Actor
) -> None:
    parent = await a_claimed(store, ada)
    async with a_transaction(store) as connection:
        await connection.execute("lock table dependency in exclusive mode")
        submitting = asyncio.create_task(a_child(store, ada, parent.id))
        await waiting(store, 1)
        # It does not wait for the child, and its own note is dealt with before there is a child.
        assert await store.work.finish([an_end(parent)]) == set()
        await connection.execute("delete from dependency_note")
    child = await submitting
    await settle(store)
    assert await status_of(store, ada, child) is Status.QUEUED


@on_every_postgres
@pytest.mark.parametrize("place", ["blocked", "scheduled", "gated", "ready", "lease", "finished"])
async def test_a_parent_is_marked_wherever_it_stands(store: Store, ada: Actor, place: str) -> None:
    places: dict[str, dict[str, Any]] = {
        "blocked": {"depends_on": [str((await store.submit(ada, run_at=LATER)).id)]},
        "scheduled": {"run_at": LATER},
        "gated": {"concurrency_key": "one"},
    }
    parent = await store.submit(ada, **places.get(place, {}))
    if place in {"lease", "finished"}:
        claimed = await store.claim_one(await store.a_worker())
        if place == "finished":
            await store.work.finish([an_end(claimed)])
    children = []
    for _ in range(2):  # the second child finds the mark
        children.append(await a_child(store, ada, parent.id))
        async with store.database.hot() as connection:
            query = f"select awaited from {place} where job_id = $1"  # noqa: S608
            assert await connection.fetchval(query, parent.id)
    await settle(store)
    expected = Status.QUEUED if place == "finished" else Status.BLOCKED
    assert {await status_of(store, ada, each) for each in children} == {expected}
    assert await violations(store) == {}


async def test_a_claim_takes_a_job_that_has_just_been_marked(store: Store, ada: Actor) -> None:
    parent = await store.submit(ada)
    worker = await store.a_worker()
    async with a_transaction(store) as connection:
        query = "select await_queued($1, $2)"
        assert await connection.fetchval(query, ada.user_id, [parent.id]) == []
        assert await store.work.claim(worker, ROUTES, 10) == [], "its user is held"
    (claimed,) = await store.work.claim(worker, ROUTES, 10)
    assert claimed.id == parent.id


async def test_a_claim_and_a_submission_never_wait_for_each_other(store: Store, ada: Actor) -> None:
    """The claim holds its user and waits for a job in line; the submission waits for the user."""
    parent = await store.submit(ada)
    worker = await store.a_worker()
    async with a_transaction(store) as connection:
        await connection.execute("select from ready where job_id = $1 for update", parent.id)
        claiming = asyncio.create_task(store.work.claim(worker, ROUTES, 10))
        await waiting(store, 1)
        submitting = asyncio.create_task(a_child(store, ada, parent.id))
        await waiting(store, 2)
    (claimed,) = await claiming
    child = await submitting
    await store.work.finish([an_end(claimed)])
    await settle(store)
    assert await status_of(store, ada, child) is Status.QUEUED


@on_every_postgres
async def test_a_job_that_is_retried_while_its_parent_ends_is_released(
    store: Store, ada: Actor
) -> None:
    parent = await store.submit(ada)
    child = await a_child(store, ada, parent.id)
    await store.commands.cancel(ada, child)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()))])
    async with a_transaction(store) as connection:
        await connection.fetch("select * from settle_dependencies(10, $1)", AGING)
        await store.commands.retry(ada, child)
    assert await status_of(store, ada, child) is Status.BLOCKED, "it saw what was before"
    await settle(store)
    assert await status_of(store, ada, child) is Status.QUEUED


async def test_a_child_that_rises_after_its_time_is_not_taken_for_retried_by_hand(
    store: Store, ada: Actor
) -> None:
    parent = await store.submit(ada, run_at=LATER)
    child = await a_child(store, ada, parent.id, expires_at=LATER)
    await store.commands.cancel(ada, parent.id)
    await settle(store)
    await store.execute("update job set expires_at = now() where id = $1", child)
    await store.commands.retry(ada, parent.id)
    await settle(store)
    worker = await store.a_worker()
    await store.work.finish([an_end(await store.claim_one(worker))])
    await settle(store)
    assert len(await store.replays_of(ada, child)) == 1
    claimed = await store.claim_one(worker)
    assert (claimed.id, claimed.expired) == (child, True)


async def test_many_children_are_settled_a_few_at_a_time(store: Store, ada: Actor) -> None:
    parent = await store.submit(ada, max_attempts=1)
    children = [await a_child(store, ada, parent.id) for _ in range(7)]
    below = [await a_child(store, ada, each) for each in children]
    claimed = await store.claim_one(await store.a_worker())
    await store.work.finish([an_end(claimed, Outcome.FAILED)])
    await settle(store, limit=3)
    assert {await status_of(store, ada, each) for each in children + below} == {Status.CANCELED}
    await store.commands.retry(ada, parent.id)
    await settle(store, limit=3)
    assert {await status_of(store, ada, each) for each in children + below} == {Status.BLOCKED}
    assert await violations(store) == {}


async def test_one_user_is_settled_by_one_process_at_a_time(store: Store, ada: Actor) -> None:
    eve = await store.a_user()
    children = {}
    for actor in (ada, eve):
        parent = await store.submit(actor)
        children[actor.user_id] = await a_child(store, actor, parent.id)
        await store.commands.cancel(actor, parent.id)
    async with a_transaction(store) as connection:
        await connection.fetch("select * from settle_dependencies(10, $1)", AGING)
        await settle(store)
        held = {await status_of(store, actor, children[actor.user_id]) for actor in (ada, eve)}
        assert held == {Status.BLOCKED, Status.CANCELED}
    for actor in (ada, eve):
        assert await status_of(store, actor, children[actor.user_id]) is Status.CANCELED


async def test_a_child_of_a_job_that_was_forgotten_just_then_is_canceled(
    store: Store, ada: Actor
) -> None:
    parent = await store.submit(ada)
    child = await a_child(store, ada, parent.id)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()))])
    await store.execute("delete from finished")
    await store.execute("delete from job where id = $1", parent.id)
    await settle(store)
    assert await status_of(store, ada, child) is Status.CANCELED


async def test_a_released_job_with_a_limit_goes_to_its_gate(store: Store, ada: Actor) -> None:
    parent = await store.submit(ada)
    child = await a_child(store, ada, parent.id, concurrency_key="customer 7")
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()))])
    await settle(store)
    async with store.database.hot() as connection:
        assert await connection.fetchval("select job_id from gated") == child
        assert await connection.fetchval("select count(*) from gate_note") == 1


async def test_those_who_listen_are_told_of_each_step(store: Store) -> None:
    actor = await store.a_watching_user()
    parent = await store.submit(actor)
    child = await a_child(store, actor, parent.id)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()))])
    newest = await store.feed.newest()
    while await store.feed.relay(100):
        newest = await store.feed.newest()
    await settle(store)
    await store.feed.relay(100)
    (change,) = await store.feed.after(newest, 100)
    assert change.ids == (child,)


async def test_results_that_are_too_large_together_are_left_out(store: Store, ada: Actor) -> None:
    size = MOST_RESULT_BYTES // 3
    parents = [(await store.submit(ada)).id for _ in range(4)]
    claimed = await store.work.claim(await store.a_worker(), ROUTES, 10)
    for each in claimed:
        await store.work.finish([an_end(each, result=f'"{"x" * size}"')])
    await a_child(store, ada, *parents)
    await settle(store)
    job = await store.claim_one(await store.a_worker())
    assert [each.is_left_out for each in job.parents.values()] == [False, False, True, True]
    assert [len(each.result) for each in list(job.parents.values())[:2]] == [size, size]
    with pytest.raises(LookupError, match="too large"):
        _ = job.parents[str(parents[3])].result


async def test_a_job_that_children_need_outlives_its_retention(store: Store, ada: Actor) -> None:
    parent = await store.submit(ada)
    child = await a_child(store, ada, parent.id, run_at=LATER)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()))])
    await settle(store)
    retired = "select retire_day(current_date + 1, '-1 hour', '-1 hour', 1)"
    async with store.database.hot() as connection:
        assert await connection.fetchval(retired) == 0
        await store.commands.cancel(ada, child)
        assert await connection.fetchval(retired) == 2
        assert await connection.fetchval("select count(*) from dependency") == 0


async def test_an_unknown_parent_keeps_nothing(store: Store, ada: Actor) -> None:
    eve = await store.a_user()
    theirs = await store.submit(eve)
    with pytest.raises(ValidationError):
        await a_child(store, ada, theirs.id)
    async with store.database.hot() as connection:
        assert await connection.fetchval("select count(*) from job") == 1
        assert not await connection.fetchval("select awaited from ready")


async def test_a_delay_counts_from_the_submission(store: Store, ada: Actor) -> None:
    parent = await store.submit(ada)
    child = await a_child(store, ada, parent.id, delay_ms=3_600_000)
    before = await store.job(ada, child)
    assert before.run_at - before.created_at == timedelta(hours=1)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()))])
    await settle(store)
    after = await store.job(ada, child)
    assert (after.status, after.run_at) == (Status.SCHEDULED, before.run_at)


async def test_a_user_with_many_notes_keeps_nobody_waiting(store: Store, ada: Actor) -> None:
    eve = await store.a_user()
    parent = await store.submit(eve)
    child = await a_child(store, eve, parent.id)
    many = """
        insert into dependency_note (job_id, user_id)
        select gen_random_uuid(), $1 from generate_series(1, 2000)
    """
    await store.execute(many, ada.user_id)
    await store.commands.cancel(eve, parent.id)
    lock = "select pg_advisory_xact_lock(hashtextextended('windlass.settle ' || $1::uuid, 0))"
    async with a_transaction(store) as connection:
        await connection.execute(lock, ada.user_id)
        await store.upkeep.settle_dependencies(1000)
        assert await status_of(store, eve, child) is Status.CANCELED


async def test_notes_of_users_who_are_gone_are_dropped(store: Store, ada: Actor) -> None:
    parent = await store.submit(ada)
    await a_child(store, ada, parent.id, concurrency_key="a")
    await store.commands.cancel(ada, parent.id)
    await store.execute("delete from account where id = $1", ada.user_id)
    await settle(store)
    async with store.database.hot() as connection:
        assert await connection.fetchval("select count(*) from dependency_note") == 0


async def test_the_same_key_finds_a_child_whose_parent_is_forgotten(
    store: Store, ada: Actor
) -> None:
    parent = await store.submit(ada)
    fields = {"depends_on": [str(parent.id)], "idempotency_key": "once"}
    child = await store.submit(ada, **fields)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()))])
    await settle(store)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()))])
    await store.commands.delete(ada, parent.id)
    again = await store.submit(ada, **fields)
    assert (again.id, again.deduplicated) == (child.id, True)
