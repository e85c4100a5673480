from __future__ import annotations

import msgspec
import pytest

from internal.domain.errors import (
    InvalidStateError,
    NotFoundError,
    UnavailableError,
)
from internal.domain.jobs import Outcome
from internal.domain.listing import JobFilter, Page
from tests.support.postgres import on_every_postgres
from tests.support.store import ROUTES, Store, a_job, an_end, id_of_day

pytestmark = on_every_postgres


async def test_only_finished_jobs_are_deleted(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    with pytest.raises(InvalidStateError, match="cancel it"):
        await store.commands.delete(actor, submitted.id)
    await store.work.finish([an_end(await store.claim_one(worker))])

    await store.commands.delete(actor, submitted.id)

    with pytest.raises(NotFoundError):
        await store.commands.delete(actor, submitted.id)
    assert sum((await store.statistics.stats(actor)).by_status.values()) == 0


async def test_finished_jobs_are_forgotten_when_their_time_is_over(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.execute("select make_partitions(current_date - 41, current_date)")
    ages = {"fresh": 0, "over": 9, "waiting": 10}
    jobs = {
        name: msgspec.structs.replace(a_job(idempotency_key=name), id=id_of_day(days))
        for name, days in ages.items()
    }
    for name in ("over", "fresh", "waiting"):
        await store.submissions.submit(actor, [jobs[name]])
    over, fresh = await store.work.claim(worker, ROUTES, 2)
    await store.work.finish([an_end(over), an_end(fresh)])
    failed = msgspec.structs.replace(a_job(max_attempts=1), id=id_of_day(9))
    gone = msgspec.structs.replace(a_job(max_attempts=1), id=id_of_day(40))
    await store.commands.cancel(actor, jobs["waiting"].id)
    await store.commands.retry(actor, jobs["waiting"].id)
    await store.execute(
        "update finished set since = now() - interval '9 days' where job_id = $1", over.id
    )
    for each, days in ((failed, 9), (gone, 40)):
        await store.submissions.submit(actor, [each])
        await store.execute(
            "update ready set rank = now() - interval '1 year' where job_id = $1", each.id
        )
        await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])
        ended = "update finished set since = now() - $2 * interval '1 day' where job_id = $1"
        await store.execute(ended, each.id, days)

    await store.sweep()

    page = await store.listing.page(actor, JobFilter(), Page())
    assert {job.id for job in page.jobs} == {jobs["fresh"].id, jobs["waiting"].id, failed.id}
    assert not (await store.submit(actor, idempotency_key="over")).deduplicated


async def test_days_whose_jobs_are_all_forgotten_are_dropped(store: Store) -> None:
    actor = await store.a_user()
    await store.execute("select make_partitions(current_date - 12, current_date)")
    for days in (8, 10):
        job = msgspec.structs.replace(a_job(), id=id_of_day(days))
        await store.submissions.submit(actor, [job])
    query = """
        select count(*) from pg_inherits
        where inhparent = any(array['job', 'finished', 'attempt', 'attempt_log']::regclass[])
    """
    async with store.database.hot() as connection:
        before = await connection.fetchval(query)
        await store.upkeep.drop_empty_days()
        after = await connection.fetchval(query)

    assert before - after == 4 * (11 - 2), "of 12 to 2 days ago, all but the two with a job"
    page = await store.listing.page(actor, JobFilter(), Page())
    for each in page.jobs:
        await store.commands.cancel(actor, each.id)
    assert len(page.jobs) == 2


async def test_dropping_days_gives_way_to_whoever_uses_them(store: Store) -> None:
    await store.execute("select make_partitions(current_date - 3, current_date)")
    async with store.database.hot() as connection, connection.transaction():
        await connection.execute("select from job")
        with pytest.raises(UnavailableError):
            await store.upkeep.drop_empty_days()
