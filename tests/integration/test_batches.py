"""Batches: how far they are, and the event when the last of their jobs has ended."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from internal.adapters.postgres.batches import PostgresBatchUpkeep
from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.domain.ids import new_id
from internal.domain.jobs import Outcome, Status
from internal.domain.outcomes import Fail
from tests.support.api import Api, SignedUp
from tests.support.conditions import eventually
from tests.support.postgres import on_every_postgres
from tests.support.routes import error_of
from tests.support.sockets import LiveSocket, watching
from tests.support.store import ROUTES, Store, a_job, an_end, open_store
from tests.support.workers import running_worker

Payload = dict[str, Any]
Shown = dict[str, Any]

NOOP = {"type": "noop"}
BREAK = {"type": "break"}
LATER = "2100-01-01T00:00:00Z"


@handler("noop")
async def noop(job: Payload, ctx: JobContext) -> None: ...


@handler("break")
async def broken(job: Payload, ctx: JobContext) -> None:
    raise Fail("out of rope")


async def a_batch(user: SignedUp, *jobs: Payload) -> tuple[str, list[str]]:
    """Submit; its id and its jobs'."""
    answer = await user.client.post("/v1/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    return data["batch_id"], [each["id"] for each in data["jobs"]]


async def look_at(user: SignedUp, batch_id: str) -> Shown:
    answer = await user.client.get(f"/v1/batches/{batch_id}")
    assert answer.status_code == 200, answer.text
    batch: Shown = answer.json()["data"]
    return batch


def counts(**known: int) -> dict[str, int]:
    return dict.fromkeys(Status, 0) | known


async def the_end_of(live: LiveSocket) -> Shown:
    """The batch that is told to have finished next."""
    batch: Shown = (await live.until("batch.finished"))[-1]["batch"]
    return batch


async def test_a_batch_tells_how_far_it_is(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()
    batch_id, _ = await a_batch(user, NOOP, NOOP, BREAK, {**NOOP, "run_at": LATER})
    await a_batch(user, NOOP)

    waiting = await look_at(user, batch_id)
    async with running_worker(elsewhere, [noop, broken]):
        await eventually(lambda: _has_finished(user, batch_id, 3))
    ended = await look_at(user, batch_id)

    assert (waiting["total"], waiting["finished"]) == (4, 0)
    assert waiting["counts"] == counts(queued=3, scheduled=1)
    assert ended["counts"] == counts(succeeded=2, failed=1, scheduled=1)
    assert (ended["id"], ended["finished_at"]) == (batch_id, None)
    assert ended["created_at"] == waiting["created_at"]


async def _has_finished(user: SignedUp, batch_id: str, jobs: int) -> bool:
    finished: int = (await look_at(user, batch_id))["finished"]
    return finished == jobs


async def test_the_end_of_the_last_job_is_told_once(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()
    async with watching(api, user) as live:
        batch_id, _ = await a_batch(user, *[NOOP] * 20, BREAK)
        async with running_worker(elsewhere, [noop, broken]):
            told = await the_end_of(live)
            again, _ = await a_batch(user, NOOP)
            following = await the_end_of(live)

    assert (told["id"], told["total"], told["finished"]) == (batch_id, 21, 21)
    assert told["counts"] == counts(succeeded=20, failed=1)
    assert told["finished_at"] >= told["created_at"]
    assert told == await look_at(user, batch_id)
    assert following["id"] == again


async def test_a_batch_whose_jobs_are_all_canceled_ends(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()
    batch_id, jobs = await a_batch(user, *[{**NOOP, "run_at": LATER}] * 3)
    async with watching(api, user) as live, running_worker(elsewhere, []):
        for job in jobs:
            assert (await user.client.post(f"/v1/jobs/{job}/cancel")).status_code == 200
        told = await the_end_of(live)

    assert (told["id"], told["counts"]) == (batch_id, counts(canceled=3))


async def test_an_end_that_no_worker_lived_to_tell_is_told_by_the_next(
    api: Api, elsewhere: Store
) -> None:
    user = await api.a_user()
    batch_id, _ = await a_batch(user, NOOP, NOOP)
    worker = await elsewhere.a_worker()
    claimed = await elsewhere.work.claim(worker, [*ROUTES, "pull:noop"], 1000)
    async with watching(api, user) as live:
        await elsewhere.work.finish([an_end(each) for each in claimed])
        assert (await look_at(user, batch_id))["finished"] == 2
        async with running_worker(elsewhere, []):
            told = await the_end_of(live)

    assert told["id"] == batch_id


async def test_jobs_that_exist_belong_to_where_they_came_from(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()
    keyed = {**NOOP, "run_at": LATER, "idempotency_key": "k"}
    first, _ = await a_batch(user, keyed, keyed)
    second, _ = await a_batch(user, keyed, NOOP)
    third, _ = await a_batch(user, keyed)
    async with running_worker(elsewhere, [noop]):
        for batch_id in (second, third):
            await eventually(partial(_is_marked, user, batch_id))

    assert (await look_at(user, first))["counts"] == counts(scheduled=1)
    assert (await look_at(user, first))["total"] == 1
    assert (await look_at(user, second))["counts"] == counts(succeeded=1)
    assert (await look_at(user, third))["total"] == 0


async def _is_marked(user: SignedUp, batch_id: str) -> bool:
    return (await look_at(user, batch_id))["finished_at"] is not None


async def test_a_deleted_job_stays_finished_and_a_retried_one_is_not(
    api: Api, elsewhere: Store
) -> None:
    user = await api.a_user()
    batch_id, (deleted, retried, _) = await a_batch(user, BREAK, BREAK, NOOP)
    async with running_worker(elsewhere, [noop, broken]):
        await eventually(lambda: _is_marked(user, batch_id))
    before = await look_at(user, batch_id)

    await user.client.delete(f"/v1/jobs/{deleted}")
    await user.client.post(f"/v1/jobs/{retried}/retry")

    batch = await look_at(user, batch_id)
    assert (batch["total"], batch["finished"]) == (3, 2)
    assert batch["counts"] == counts(queued=1, succeeded=1)
    assert batch["finished_at"] == before["finished_at"]


async def test_other_jobs_of_the_same_moment_are_not_counted(store: Store) -> None:
    """Ids of two processes mix: whether a job belongs to a batch, only the job itself says."""
    actor, batch_id = await store.a_user(), new_id()
    jobs = [a_job(number) for number in range(5)]
    await store.submissions.submit(actor, jobs[::2], batch_id)
    await store.submissions.submit(actor, jobs[1:2], new_id())
    await store.submissions.submit(actor, jobs[3:4])
    for job in jobs[::2]:
        await store.commands.cancel(actor, job.id)

    await store.batch_upkeep.finish_batches(10, 10)

    batch = await store.batches.get(actor, batch_id)
    assert batch is not None
    assert (batch.total, batch.finished, batch.counts[Status.CANCELED]) == (3, 3, 3)
    assert batch.counts[Status.QUEUED] == 0
    assert batch.finished_at is not None


@pytest.mark.parametrize("fields", [{}, {"run_at": LATER}, {"concurrency_key": "k"}])
async def test_a_batch_waits_for_its_last_job_wherever_that_stands(
    store: Store, fields: dict[str, str]
) -> None:
    actor, batch_id = await store.a_user(), new_id()
    first, second = a_job(0, **fields), a_job(1)
    await store.submissions.submit(actor, [first, second], batch_id)
    await store.commands.cancel(actor, second.id)
    for _ in range(2):  # it finds the other job, then it looks whether that one is unfinished
        await store.batch_upkeep.finish_batches(10, 10)
        assert await _is_unfinished(store, "id", batch_id)
        batch = await store.batches.get(actor, batch_id)
        assert batch is not None
        assert batch.finished == 1

    await store.commands.cancel(actor, first.id)
    await store.batch_upkeep.finish_batches(10, 10)
    assert not await _is_unfinished(store, "id", batch_id)


async def test_a_batch_waits_for_a_job_that_runs(store: Store) -> None:
    actor, batch_id = await store.a_user(), new_id()
    await store.submissions.submit(actor, [a_job(0), canceled := a_job(1)], batch_id)
    await store.commands.cancel(actor, canceled.id)
    claimed = await store.claim_one(await store.a_worker())
    for _ in range(2):
        await store.batch_upkeep.finish_batches(10, 10)
        assert await _is_unfinished(store, "id", batch_id)

    await store.work.finish([an_end(claimed)])
    await store.batch_upkeep.finish_batches(10, 10)
    assert not await _is_unfinished(store, "id", batch_id)


@on_every_postgres
async def test_many_processes_tell_of_each_batch_once(database_url: str) -> None:
    async with open_store(database_url) as store:
        actor = await store.a_watching_user()
        ids = [new_id() for _ in range(30)]
        for batch_id in ids:
            await store.submissions.submit(actor, [a_job(0), a_job(1)], batch_id)
        claimed = await store.work.claim(await store.a_worker(), ROUTES, 1000)
        await store.work.finish([an_end(each, Outcome.SUCCEEDED) for each in claimed])
        duties = [PostgresBatchUpkeep(store.database, store.wakeups) for _ in range(8)]
        await asyncio.gather(*(each.finish_batches(10, 7) for each in duties * 8))

        async with store.database.hot() as connection:
            rows = await connection.fetch("select ids from outbox where kind = 'batch'")
    assert sorted(each for row in rows for each in row["ids"]) == sorted(ids)


async def test_unfinished_batches_of_one_user_do_not_hold_up_anothers(store: Store) -> None:
    first, second = sorted([await store.a_user(), await store.a_user()], key=lambda a: a.user_id)
    for _ in range(9):
        await store.submissions.submit(first, [a_job(0), a_job(1)], new_id())
    last = new_id()
    await store.submissions.submit(first, [done := a_job(0)], last)
    await store.submissions.submit(second, [other := a_job(0)], new_id())
    await store.commands.cancel(first, done.id)
    await store.commands.cancel(second, other.id)

    assert await store.batch_upkeep.finish_batches(1, 4)
    assert await store.batch_upkeep.finish_batches(1, 4)
    assert not await _is_unfinished(store, "user_id", second.user_id)
    assert await _is_unfinished(store, "id", last)
    # The next rounds go on where the user's last look has ended.
    for _ in range(5):
        await store.batch_upkeep.finish_batches(1, 4)
    assert not await _is_unfinished(store, "id", last)


async def _is_unfinished(store: Store, column: str, value: UUID) -> bool:
    query = f"select from batch where finished_at is null and {column} = $1"
    async with store.database.hot() as connection:
        return bool(await connection.fetch(query, value))


async def test_a_list_has_ones_batches_the_newest_first_a_page_at_a_time(api: Api) -> None:
    user = await api.a_user()
    ids = [(await a_batch(user, *[NOOP] * jobs))[0] for jobs in (1, 2, 3)][::-1]
    page = (await user.client.get("/v1/batches?limit=2")).json()
    rest = await user.client.get("/v1/batches", params={"cursor": page["next_cursor"]})

    shown = [*page["data"], *rest.json()["data"]]
    assert [each["id"] for each in shown] == ids
    assert [each["total"] for each in shown] == [3, 2, 1]
    assert set(shown[0]) == {"id", "total", "created_at", "finished_at"}
    assert rest.json()["next_cursor"] is None
    for query in ("limit=0", "limit=201", "cursor=x", "status=queued"):
        answer = await user.client.get(f"/v1/batches?{query}")
        assert error_of(answer)[2][0]["field"] == query.partition("=")[0]


async def test_jobs_are_listed_by_batch(api: Api) -> None:
    user = await api.a_user()
    one, jobs = await a_batch(user, NOOP, {**NOOP, "run_at": LATER}, NOOP)
    await a_batch(user, NOOP)
    other, others = await a_batch(user, NOOP)

    async def listed(query: str) -> list[str]:
        answer = await user.client.get(f"/v1/jobs?{query}")
        return [each["id"] for each in answer.json()["data"]]

    assert await listed(f"batch={one}") == jobs[::-1]
    assert await listed(f"batch={one},{other}") == [*others, *jobs[::-1]]
    assert await listed(f"batch={one}&status=scheduled") == [jobs[1]]
    assert await listed(f"batch={new_id()}") == []
    refused = await user.client.get("/v1/jobs?batch=x")
    assert error_of(refused)[2][0] == {"field": "batch", "message": "must be a UUID"}


@pytest.mark.parametrize("id_", ["x", "1", "01900000-0000-7000-8000-00000000000"])
async def test_an_id_that_is_none_is_refused_as_a_jobs_is(api: Api, id_: str) -> None:
    user = await api.a_user()
    batch, job = [await user.client.get(f"/v1/{kind}/{id_}") for kind in ("batches", "jobs")]
    assert error_of(batch) == error_of(job)


async def test_a_batch_is_forgotten_when_all_its_jobs_are_past_their_time(store: Store) -> None:
    actor, old, young, unfinished = await store.a_user(), *(new_id() for _ in range(3))
    for batch_id, days, ended in ((old, 33, 32), (young, 33, 20), (unfinished, 33, None)):
        await store.submissions.submit(actor, [a_job(0)], batch_id)
        await store.execute(
            "update batch set id = $1, finished_at = now() - $2 * interval '1 day' where id = $3",
            UUID(int=batch_id.int - (days * 86_400_000 << 80)),
            ended,
            batch_id,
        )
    staying = (young, unfinished)
    await store.sweep()

    async with store.database.hot() as connection:
        rows = await connection.fetch("select id from batch order by id")
    assert [row["id"].int % 2**64 for row in rows] == [each.int % 2**64 for each in staying]
