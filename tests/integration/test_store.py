from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from internal.domain.blame import alone
from internal.domain.errors import (
    InvalidStateError,
)
from internal.domain.jobs import Outcome, Status
from tests.support.postgres import on_every_postgres
from tests.support.store import ROUTES, TTL, Store, a_job, an_end, open_store

pytestmark = on_every_postgres


async def test_a_job_runs_and_its_history_is_kept(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor, payload={"n": 1}, tags=["a", "b"])
    assert submitted.status is Status.QUEUED

    claimed = await store.claim_one(worker)
    running = await store.job(actor, submitted.id)
    late = await store.work.finish([an_end(claimed, result='{"x": 1.10}')])

    assert (running.status, running.version) == (Status.RUNNING, 2)
    assert late == set()
    job = await store.job(actor, submitted.id)
    assert (job.status, job.version, job.result) == (Status.SUCCEEDED, 3, '{"x": 1.10}')
    assert job.tags == ("a", "b")
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.started_at <= job.finished_at
    attempts = await store.attempts(actor, submitted.id)
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

    assert await store.work.finish([an_end(late, result='"late"')]) == {submitted.id}

    job = await store.job(actor, submitted.id)
    assert (job.status, job.attempts) == (Status.RUNNING, 0)
    assert await store.work.finish([an_end(current, result='"current"')]) == set()
    assert await store.work.finish([an_end(current, result='"again"')]) == {submitted.id}
    assert (await store.job(actor, submitted.id)).result == '"current"'
    attempts = await store.attempts(actor, submitted.id)
    assert [each.status for each in attempts or []] == [Outcome.LOST, Outcome.SUCCEEDED]


async def test_an_expired_worker_neither_claims_nor_comes_back(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.submit(actor)
    await store.expire(worker)

    assert await store.work.claim(worker, ROUTES, 10) == []
    assert not (await store.work.beat(worker, TTL)).alive


async def test_lost_attempts_of_a_job_to_blame_count_until_it_fails(store: Store) -> None:
    actor = await store.a_user()
    submitted = await store.submit(actor, max_attempts=2)
    routes = (*ROUTES, *map(alone, ROUTES))  # after the first loss it runs alone
    for _ in range(2):
        worker = await store.a_worker(routes=routes)
        assert len(await store.work.claim(worker, routes, 1)) == 1
        await store.end_processes([worker], [submitted.id])
        assert await store.upkeep.rescue_expired(10) == 1

    job = await store.job(actor, submitted.id)
    assert (job.status, job.attempts) == (Status.FAILED, 2)
    assert "stopped answering" in (job.last_error or "")


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
async def test_an_end_that_waited_to_be_recorded_is_that_much_earlier(
    store: Store, outcome: Outcome
) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor, max_attempts=1)
    end = an_end(await store.claim_one(worker), outcome)

    await store.work.finish([msgspec.structs.replace(end, ran_ms=2_000, ended=end.ended - 5)])

    (attempt,) = await store.attempts(actor, submitted.id)
    assert attempt.finished_at is not None
    recorded = (await store.job(actor, submitted.id)).updated_at
    assert (recorded - attempt.finished_at).total_seconds() == pytest.approx(5, abs=0.5)
    assert (attempt.finished_at - attempt.started_at).total_seconds() == pytest.approx(2, abs=0.01)


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

    assert waits == pytest.approx([2.0, 4.0], abs=0.1)
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
    attempts = await store.attempts(actor, submitted.id)
    assert [each.number for each in attempts or []] == [1, 2]
    with pytest.raises(InvalidStateError, match="succeeded"):
        await store.commands.retry(actor, submitted.id)


async def test_what_never_started_goes_back_uncounted(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    first = await store.claim_one(worker)

    await store.work.hand_back([(an_end(first).lease, first.attempts)])
    second = await store.claim_one(worker)

    assert (second.number, second.attempts) == (1, 0)
    assert second.token > first.token
    assert await store.work.finish([an_end(first)]) == {submitted.id}
    await store.work.finish([an_end(second)])
    assert len(await store.attempts(actor, submitted.id)) == 1


async def test_a_claim_whose_answer_was_lost_is_handed_back(store: Store) -> None:
    actor, worker, other = await store.a_user(), await store.a_worker(), await store.a_worker()
    for _ in range(2):
        await store.submit(actor)
    held = await store.claim_one(worker)
    lost = await store.claim_one(worker)

    await store.work.beat(worker, TTL, held=[held.id])

    assert [job.id for job in await store.work.claim(other, ROUTES, 10)] == [lost.id]


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
