from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from internal.domain.errors import (
    IdempotencyConflictError,
    InvalidStateError,
    NotFoundError,
    UnavailableError,
)
from internal.domain.jobs import Outcome, Status
from internal.domain.listing import JobFilter, Page
from tests.support.postgres import on_every_postgres
from tests.support.store import ROUTES, TTL, Store, a_job, an_end, id_of_day, open_store

pytestmark = on_every_postgres


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        yield store


async def test_a_payload_comes_back_byte_for_byte(store: Store) -> None:
    actor = await store.a_user()
    text = '{"big":12345678901234567890123, "price": 1.10,"twice":1,"twice":2, "nul":"\\u0000"}'
    job = a_job()
    exact = type(job)(**{**{f: getattr(job, f) for f in job.__struct_fields__}, "payload": text})

    await store.submissions.submit(actor, [exact])

    assert (await store.job(actor, exact.id)).payload == text


async def test_a_job_runs_and_its_history_is_kept(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor, payload={"n": 1}, tags=["a", "b"])
    assert submitted.status is Status.QUEUED

    claimed = await store.claim_one(worker)
    running = await store.job(actor, submitted.id)
    recorded = await store.work.finish([an_end(claimed, result='{"x": 1.10}')])

    assert (running.status, running.version) == (Status.RUNNING, 2)
    assert recorded == {submitted.id}
    job = await store.job(actor, submitted.id)
    assert (job.status, job.version, job.result) == (Status.SUCCEEDED, 3, '{"x": 1.10}')
    assert job.tags == ("a", "b")
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.started_at <= job.finished_at
    attempts = await store.reads.attempts(actor, submitted.id)
    assert attempts is not None
    assert [(each.number, each.status, each.worker) for each in attempts] == [
        (1, Outcome.SUCCEEDED, worker)
    ]


async def test_a_late_end_with_an_old_token_changes_nothing(store: Store) -> None:
    actor, first, second = await store.a_user(), await store.a_worker(), await store.a_worker()
    submitted = await store.submit(actor)
    late = await store.claim_one(first)
    await store.expire(first)
    assert await store.upkeep.rescue_expired(10) == 1
    current = await store.claim_one(second)
    assert current.token > late.token

    assert await store.work.finish([an_end(late, result='"late"')]) == set()

    job = await store.job(actor, submitted.id)
    assert (job.status, job.attempts) == (Status.RUNNING, 1)
    assert await store.work.finish([an_end(current, result='"current"')]) == {submitted.id}
    assert await store.work.finish([an_end(current, result='"again"')]) == set()
    assert (await store.job(actor, submitted.id)).result == '"current"'
    attempts = await store.reads.attempts(actor, submitted.id)
    assert [each.status for each in attempts or []] == [Outcome.LOST, Outcome.SUCCEEDED]


async def test_an_expired_worker_neither_claims_nor_comes_back(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.submit(actor)
    await store.expire(worker)

    assert await store.work.claim(worker, ROUTES, 10) == []
    assert not (await store.work.beat(worker, TTL)).alive


async def test_lost_attempts_count_until_the_job_fails(store: Store) -> None:
    actor = await store.a_user()
    submitted = await store.submit(actor, max_attempts=2)
    for _ in range(2):
        worker = await store.a_worker()
        await store.claim_one(worker)
        await store.work.leave(worker)
        assert await store.upkeep.rescue_expired(10) == 1

    job = await store.job(actor, submitted.id)
    assert (job.status, job.attempts) == (Status.FAILED, 2)
    assert "stopped answering" in (job.last_error or "")


async def test_failures_wait_two_then_four_seconds_and_then_fail(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    waits = []
    for _ in range(2):
        await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])
        job = await store.job(actor, submitted.id)
        assert job.status is Status.SCHEDULED
        waits.append((job.run_at - job.updated_at).total_seconds())
        assert await store.upkeep.stage_due(10) != (1, None)
        await store.execute("update scheduled set run_at = now()")
        assert (await store.upkeep.stage_due(10))[0] == 1
    await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])

    assert waits == [2.0, 4.0]
    job = await store.job(actor, submitted.id)
    assert (job.status, job.attempts, job.last_error) == (Status.FAILED, 3, "it failed")


async def test_a_job_for_later_waits_until_it_is_due(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    soon = datetime.now(UTC) + timedelta(seconds=60)
    submitted = await store.submit(actor, run_at=soon)
    past = await store.submit(actor, run_at=datetime(2001, 1, 1, tzinfo=UTC))

    staged, pause = await store.upkeep.stage_due(10)

    assert submitted.status is Status.SCHEDULED
    assert past.status is Status.QUEUED
    assert past.run_at == past.created_at
    assert staged == 0
    assert pause is not None
    assert timedelta(seconds=50) < pause <= timedelta(seconds=60)
    assert [job.id for job in await store.work.claim(worker, ROUTES, 10)] == [past.id]


async def test_priorities_reorder_within_the_aging_step(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    low, medium, high = [
        (await store.submit(actor, priority=each)).id for each in ("low", "medium", "high")
    ]
    old = (await store.submit(actor, priority="low")).id
    aged = "update ready set rank = rank - interval '10 minutes' where job_id = $1"
    await store.execute(aged, old)

    claimed = await store.work.claim(worker, ROUTES, 10)

    assert [job.id for job in claimed] == [old, high, medium, low]


async def test_the_same_key_and_request_give_the_same_job(store: Store) -> None:
    actor, other = await store.a_user(), await store.a_user()
    first = await store.submit(actor, idempotency_key="k", payload={"a": 1})

    again = await store.submit(actor, idempotency_key="k", payload={"a": 1})
    foreign = await store.submit(other, idempotency_key="k", payload={"a": 2})
    with pytest.raises(IdempotencyConflictError):
        await store.submit(actor, idempotency_key="k", payload={"a": 2})

    assert (again.id, again.deduplicated) == (first.id, True)
    assert foreign.id != first.id
    assert (await store.statistics.stats(actor)).by_status[Status.QUEUED] == 1


async def test_a_batch_is_kept_whole_or_not_at_all(store: Store) -> None:
    actor = await store.a_user()
    await store.submit(actor, idempotency_key="k", payload={"a": 1})
    batch = [a_job(0), a_job(1, idempotency_key="new"), a_job(2, idempotency_key="k")]

    with pytest.raises(IdempotencyConflictError) as refused:
        await store.submissions.submit(actor, batch)

    assert refused.value.details[0].index == 2
    assert (await store.statistics.stats(actor)).by_status[Status.QUEUED] == 1
    same = a_job(2, idempotency_key="k", payload={"a": 1})
    twin = a_job(3, idempotency_key="new")
    kept = await store.submissions.submit(actor, [*batch[:2], same, twin])
    assert [each.deduplicated for each in kept] == [False, False, True, True]
    assert kept[3].id == kept[1].id


async def test_a_key_is_free_again_when_its_job_is_deleted(store: Store) -> None:
    actor = await store.a_user()
    first = await store.submit(actor, idempotency_key="k")
    await store.commands.cancel(actor, first.id)
    await store.commands.delete(actor, first.id)

    again = await store.submit(actor, idempotency_key="k", payload={"new": True})

    assert again.id != first.id
    assert not again.deduplicated
    assert await store.reads.get(actor, first.id) is None
    assert await store.reads.attempts(actor, first.id) is None


async def test_many_connections_with_one_key_make_one_job(database_url: str) -> None:
    async with open_store(database_url, size=32) as store:
        actor = await store.a_user()
        asked = [store.submit(actor, idempotency_key="k") for _ in range(64)]
        batches = [
            store.submissions.submit(
                actor, [a_job(0, idempotency_key="k2"), a_job(1, idempotency_key="k")]
            )
            for _ in range(16)
        ]

        answers = await asyncio.gather(*asked)
        together = await asyncio.gather(*batches)

        assert len({each.id for each in answers} | {pair[1].id for pair in together}) == 1
        assert len({pair[0].id for pair in together}) == 1
        assert (await store.statistics.stats(actor)).by_status[Status.QUEUED] == 2


async def test_waiting_jobs_are_canceled_at_once(store: Store) -> None:
    actor = await store.a_user()
    queued = await store.submit(actor)
    later = await store.submit(actor, run_at=datetime.now(UTC) + timedelta(hours=1))
    for each in (queued, later):
        await store.commands.cancel(actor, each.id)
        assert (await store.job(actor, each.id)).status is Status.CANCELED
        with pytest.raises(InvalidStateError, match="canceled"):
            await store.commands.cancel(actor, each.id)


async def test_a_running_job_is_asked_to_stop_and_ends_as_canceled(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    claimed = await store.claim_one(worker)

    await store.commands.cancel(actor, submitted.id)
    asked = await store.job(actor, submitted.id)
    await store.commands.cancel(actor, submitted.id)

    assert asked.status is Status.RUNNING
    assert asked.cancel_requested_at is not None
    assert (await store.job(actor, submitted.id)).version == asked.version
    assert (await store.work.beat(worker, TTL)).canceled == {submitted.id}
    await store.work.finish([an_end(claimed, Outcome.FAILED)])
    job = await store.job(actor, submitted.id)
    assert (job.status, job.attempts) == (Status.CANCELED, 1)


async def test_a_success_wins_over_a_cancel_that_was_asked_for(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    claimed = await store.claim_one(worker)
    await store.commands.cancel(actor, submitted.id)

    await store.work.finish([an_end(claimed)])

    assert (await store.job(actor, submitted.id)).status is Status.SUCCEEDED


async def test_a_canceled_job_whose_worker_died_is_not_tried_again(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    await store.claim_one(worker)
    await store.commands.cancel(actor, submitted.id)
    await store.expire(worker)

    await store.upkeep.rescue_expired(10)

    assert (await store.job(actor, submitted.id)).status is Status.CANCELED


async def test_a_retry_by_hand_grants_one_more_attempt_and_keeps_history(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor, max_attempts=1)
    await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])

    await store.commands.retry(actor, submitted.id)
    job = await store.job(actor, submitted.id)

    assert (job.status, job.attempts, job.max_attempts) == (Status.QUEUED, 1, 2)
    await store.work.finish([an_end(await store.claim_one(worker))])
    attempts = await store.reads.attempts(actor, submitted.id)
    assert [each.number for each in attempts or []] == [1, 2]
    with pytest.raises(InvalidStateError, match="succeeded"):
        await store.commands.retry(actor, submitted.id)


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


async def test_what_never_started_goes_back_uncounted(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    first = await store.claim_one(worker)

    await store.work.hand_back([(an_end(first).lease, first.attempts)])
    second = await store.claim_one(worker)

    assert (second.number, second.attempts) == (1, 0)
    assert second.token > first.token
    assert await store.work.finish([an_end(first)]) == set()
    await store.work.finish([an_end(second)])
    assert len(await store.reads.attempts(actor, submitted.id) or []) == 1


async def test_a_claim_whose_answer_was_lost_is_handed_back(store: Store) -> None:
    actor, worker, other = await store.a_user(), await store.a_worker(), await store.a_worker()
    for _ in range(2):
        await store.submit(actor)
    held = await store.claim_one(worker)
    lost = await store.claim_one(worker)

    await store.work.beat(worker, TTL, held=[held.id])

    assert [job.id for job in await store.work.claim(other, ROUTES, 10)] == [lost.id]


async def test_another_user_finds_nothing(store: Store) -> None:
    owner, other = await store.a_user(), await store.a_user()
    submitted = await store.submit(owner)

    assert await store.reads.get(other, submitted.id) is None
    assert await store.reads.attempts(other, submitted.id) is None
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


async def test_twenty_claimers_never_get_the_same_job(database_url: str) -> None:
    async with open_store(database_url, size=24) as store:
        actors = [await store.a_user() for _ in range(4)]
        for actor in actors:
            await store.submissions.submit(actor, [a_job(i) for i in range(500)])
        seen: list[object] = []

        async def take_all() -> None:
            worker, misses = await store.a_worker(), 0
            while misses < 3:
                claimed = await store.work.claim(worker, ROUTES, 7)
                seen.extend(job.id for job in claimed)
                await store.work.finish([an_end(job) for job in claimed])
                misses = 0 if claimed or await store.work.is_waiting(ROUTES) else misses + 1

        await asyncio.gather(*(take_all() for _ in range(20)))

        assert len(seen) == len(set(seen)) == 2000
        for actor in actors:
            assert (await store.statistics.stats(actor)).by_status[Status.SUCCEEDED] == 500


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

    await store.upkeep.prune()

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
        where inhparent in ('job'::regclass, 'finished'::regclass, 'attempt'::regclass)
    """
    async with store.database.hot() as connection:
        before = await connection.fetchval(query)
        await store.upkeep.drop_empty_days()
        after = await connection.fetchval(query)

    assert before - after == 3 * (11 - 2), "of 12 to 2 days ago, all but the two with a job"
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
