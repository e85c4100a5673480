from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from internal.domain.errors import (
    NotFoundError,
)
from internal.domain.jobs import Outcome, Status
from internal.domain.listing import JobFilter, Page
from tests.support.postgres import on_every_postgres
from tests.support.store import ROUTES, Store, a_job, an_end

pytestmark = on_every_postgres


async def test_another_user_finds_nothing(store: Store) -> None:
    owner, other = await store.a_user(), await store.a_user()
    submitted = await store.submit(owner)

    assert await store.reads.get(other, submitted.id) is None
    assert await store.reads.attempts(other, submitted.id, 20) is None
    assert (await store.listing.page(other, JobFilter(), Page())).jobs == []
    for command in (store.commands.cancel, store.commands.retry, store.commands.delete):
        with pytest.raises(NotFoundError):
            await command(other, submitted.id)
    assert (await store.job(owner, submitted.id)).version == 1


async def test_pages_follow_each_other_without_gaps(store: Store) -> None:
    actor = await store.a_user()
    await store.submissions.submit(actor, [a_job(i) for i in range(25)])
    seen: list[UUID] = []
    before = None
    while True:
        page = await store.listing.page(actor, JobFilter(), Page(limit=10, before=before))
        seen += [job.id for job in page.jobs]
        before = page.next_before
        if before is None:
            break

    assert len(seen) == len(set(seen)) == 25
    assert seen == sorted(seen, reverse=True)


async def test_lists_are_filtered_by_everything(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    done = await store.submit(actor, queue="reports", tags=["eu", "big"], priority="high")
    await store.work.finish([an_end(await store.claim_one(worker))])
    failed = await store.submit(actor, max_attempts=1)
    await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])
    running = await store.submit(actor)
    await store.claim_one(worker)
    queued = await store.submit(actor, type="nobody", tags=["eu"])
    later = await store.submit(actor, run_at=datetime.now(UTC) + timedelta(hours=1))
    now = datetime.now(UTC)

    async def found(**fields: object) -> list[object]:
        page = await store.listing.page(actor, JobFilter(**fields), Page())  # type: ignore[arg-type]
        return [job.id for job in page.jobs]

    assert await found() == [later.id, queued.id, running.id, failed.id, done.id]
    assert await found(status=(Status.QUEUED,)) == [queued.id]
    assert await found(status=(Status.SUCCEEDED, Status.FAILED)) == [failed.id, done.id]
    assert await found(status=(Status.RUNNING, Status.SCHEDULED)) == [later.id, running.id]
    assert await found(status=(Status.BLOCKED, Status.CANCELED)) == []
    assert await found(queue=("reports",)) == [done.id]
    assert await found(type=("nobody", "other")) == [queued.id]
    assert await found(tag=("eu",)) == [queued.id, done.id]
    assert await found(worker=(worker,)) == [running.id, failed.id, done.id]
    assert await found(worker=(worker,), status=(Status.FAILED,)) == [failed.id]
    assert await found(finished_before=now) == [failed.id, done.id]
    assert await found(finished_after=now) == []
    assert await found(created_after=now) == []
    assert len(await found(created_before=now)) == 5


async def test_the_numbers_are_exact_before_and_after_folding(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.submissions.submit(actor, [a_job(i, max_attempts=1) for i in range(6)])
    await store.submit(actor, run_at=datetime.now(UTC) + timedelta(hours=1))
    claimed = await store.work.claim(worker, ROUTES, 4)
    outcomes = [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED]
    await store.work.finish([an_end(*each) for each in zip(claimed[:3], outcomes, strict=True)])

    before = await store.statistics.stats(actor)
    assert await store.upkeep.fold_counters(1000) > 0
    after = await store.statistics.stats(actor)

    assert before.by_status == after.by_status
    assert {status: n for status, n in after.by_status.items() if n} == {
        Status.SCHEDULED: 1,
        Status.QUEUED: 2,
        Status.RUNNING: 1,
        Status.SUCCEEDED: 2,
        Status.FAILED: 1,
    }
    assert sum(each.succeeded for each in after.minutes) == 2
    assert sum(each.failed for each in after.minutes) == 1
    assert after.minutes == before.minutes
    assert any(each.wait_p50_ms is not None for each in after.minutes)
    assert len(after.minutes) == 60
    assert after.oldest_queued_at is not None
