"""The steps of an operation on many jobs: what happens meanwhile, kills, and several workers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from internal.adapters.postgres.statements import statement
from internal.domain.jobs import Outcome
from internal.domain.listing import JobFilter, Page
from internal.domain.operations import Action
from internal.domain.ports.work import ClaimedJob
from tests.support.operations import hurry, steps
from tests.support.postgres import on_every_postgres
from tests.support.store import ROUTES, Store, a_job, an_end


@on_every_postgres
async def test_a_job_that_changed_meanwhile_is_skipped_and_a_new_one_untouched(
    store: Store,
) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    for _ in range(3):
        await store.submit(actor, max_attempts=1)
    claimed = await store.work.claim(worker, ROUTES, 3)
    await store.work.finish([an_end(each, Outcome.FAILED) for each in claimed])
    id_, tally = await store.operations.start(
        actor, Action.RETRY, JobFilter(type=("noop",)), 10_000
    )
    await store.commands.delete(actor, claimed[0].id)
    await store.commands.retry(actor, claimed[1].id)
    late = await store.submit(actor, max_attempts=1)
    await store.commands.cancel(actor, late.id)

    await steps(store)

    done = await store.operations.get(actor, id_)
    assert done is not None
    assert (tally.eligible, done.done) == (3, 1)
    assert done.skipped == {"not_found": 1, "queued": 1}
    assert (await store.job(actor, late.id)).status == "canceled"


@on_every_postgres
async def test_a_job_that_is_moving_is_left_to_a_later_step(store: Store) -> None:
    """A claim takes rows in another order: who waited for it might wait for ever."""
    actor, worker = await store.a_user(), await store.a_worker()
    jobs = [await store.submit(actor) for _ in range(5)]
    id_, _ = await store.operations.start(actor, Action.CANCEL, JobFilter(queue=("default",)), 500)
    async with store.database.hot() as claiming, claiming.transaction():
        rows = await claiming.fetch(statement("claim"), worker, list(ROUTES), 2, [])
        await store.operation_steps.step()
        half_way = await store.operations.get(actor, id_)
    await hurry(store)
    await steps(store)

    done = await store.operations.get(actor, id_)
    assert half_way is not None
    assert done is not None
    assert len(rows) == 2
    assert (half_way.done, half_way.skipped, half_way.status) == (3, {}, "running")
    assert (done.done, done.skipped, done.status) == (5, {}, "done")
    found = [await store.job(actor, each.id) for each in jobs]
    assert sorted(each.status for each in found) == ["canceled"] * 3 + ["running"] * 2
    assert all(each.cancel_requested_at for each in found if each.status == "running")


@on_every_postgres
async def test_a_step_that_is_killed_leaves_nothing_behind(store: Store) -> None:
    actor, jobs = await some_failed(store, 6)
    id_, _ = await store.operations.start(actor, Action.RETRY, {each.id for each in jobs}, 8)
    await store.operation_steps.step()
    before = await store.operations.get(actor, id_)
    await hurry(store)
    await store.execute("""
        create function break() returns trigger language plpgsql as $$
        begin raise exception 'killed'; end $$;
    """)
    # The last thing that a step does.
    await store.execute(
        "create trigger break before update on operation for each row execute function break()"
    )
    with pytest.raises(asyncpg.RaiseError, match="killed"):
        await store.operation_steps.step()
    assert await store.operations.get(actor, id_) == before
    page = await store.listing.page(actor, JobFilter(), Page())
    assert sorted(each.status for each in page.jobs) == ["failed"] * 4 + ["queued"] * 2
    await store.execute("drop function break cascade")
    await hurry(store)

    await steps(store, hurried=True)

    done = await store.operations.get(actor, id_)
    assert done is not None
    assert (done.done, done.status) == (6, "done")
    for each in jobs:
        replays = await store.replays_of(actor, each.id)
        assert [replay.operation_id for replay in replays or ()] == [id_]


async def test_an_operation_whose_steps_fail_does_not_keep_others_waiting(store: Store) -> None:
    (ada, _), (eve, _) = await some_failed(store, 3), await some_failed(store, 3)
    chosen = JobFilter(type=("noop",))
    failing, _ = await store.operations.start(ada, Action.RETRY, chosen, 10_000)
    other, _ = await store.operations.start(eve, Action.RETRY, chosen, 10_000)
    query = f"alter table replay add constraint not_hers check (user_id <> '{ada.user_id}')"
    await store.execute(query)

    with pytest.raises(asyncpg.CheckViolationError):
        await store.operation_steps.step()
    await steps(store)

    found = [await store.operations.get(ada, failing), await store.operations.get(eve, other)]
    assert [(each.done, each.status) for each in found if each] == [(0, "running"), (3, "done")]


@on_every_postgres
async def test_several_workers_do_each_job_once(store: Store) -> None:
    actor, jobs = await some_failed(store, 120)
    chosen = JobFilter(status=("failed",))  # type: ignore[arg-type]
    made = [await store.operations.start(actor, Action.RETRY, chosen, 40) for _ in range(3)]

    async def work() -> None:
        for _ in range(40):
            await store.operation_steps.step()
            await hurry(store)

    await asyncio.gather(*(work() for _ in range(4)))

    done = [await store.operations.get(actor, id_) for id_, _ in made]
    assert sum(each.done for each in done if each) == 120
    assert sum(each.skipped.get("queued", 0) for each in done if each) == 240
    for each in jobs:
        assert len(await store.replays_of(actor, each.id)) == 1


async def test_an_operation_goes_no_faster_than_it_may(store: Store) -> None:
    """Each step says when the next one may be, by the database's clock."""
    actor, _ = await some_failed(store, 30)
    id_, _ = await store.operations.start(
        actor, Action.RETRY, JobFilter(type=("noop",)), per_second=20
    )
    await steps(store)
    first = await store.operations.get(actor, id_)
    assert first is not None
    assert first.done in {5, 10}, "what is a quarter of a second late is made up for"
    async with store.database.hot() as connection:
        ahead = await connection.fetchval("select next_at > now() - interval '1 s' from operation")
    assert ahead
    pause = await store.operation_steps.step()
    assert pause is not None
    assert pause.total_seconds() <= 0.5


async def test_those_who_watch_hear_of_each_step(store: Store) -> None:
    """Of more than a hundred jobs only that the list is to be read again."""
    actor, failed = await some_failed(store, 102)
    ids = [each.id for each in failed]
    await store.feed.listen([actor.user_id], timedelta(hours=1))
    for action, chosen in (
        (Action.RETRY, ids[:101]),
        (Action.CANCEL, ids[:100]),
        (Action.DELETE, ids[101:]),
    ):
        await store.operations.start(actor, action, chosen, 10_000)
        await steps(store, hurried=True)
    await store.feed.relay(100)

    told = [each.ids for each in await store.feed.after(0, 100)]

    assert [ids and len(ids) for ids in told] == [None, 100, None]
    assert set(told[1] or ()) == set(ids[:100])


async def some_failed(store: Store, count: int) -> tuple[Any, list[ClaimedJob]]:
    actor, worker = await store.a_user(), await store.a_worker()
    jobs = [a_job(n, max_attempts=1) for n in range(count)]
    await store.submissions.submit(actor, jobs)
    claimed = await store.work.claim(worker, ROUTES, count)
    while len(claimed) < count:
        claimed += await store.work.claim(worker, ROUTES, count)
    await store.work.finish([an_end(each, Outcome.FAILED) for each in claimed])
    return actor, sorted(claimed, key=lambda each: each.id)
