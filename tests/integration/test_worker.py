from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from internal.domain.declaring import handler
from internal.domain.errors import UnavailableError
from internal.domain.handlers import JobContext
from internal.domain.jobs import Outcome, Status
from internal.domain.outcomes import Fail, Retry, Snooze
from internal.domain.ports.work import Beat, ClaimedJob
from tests.support.conditions import eventually
from tests.support.store import Store, a_job, open_store
from tests.support.wakeups import SilentWakeups
from tests.support.workers import SETTINGS, becomes, running_worker

Payload = dict[str, Any]


class Addition(msgspec.Struct):
    a: int
    b: int = 1


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        listener = asyncio.create_task(store.wakeups.run())
        yield store
        listener.cancel()


@handler("noop")
async def noop(job: Payload, ctx: JobContext) -> None: ...


@handler("add")
def add(job: Addition, ctx: JobContext) -> dict[str, int]:
    return {"sum": job.a + job.b, "attempt": ctx.attempt}


@handler("break")
async def broken(job: Payload, ctx: JobContext) -> None:
    raise ValueError("it is broken\nat \0 and \ud800")


async def test_sync_and_async_handlers_run_and_give_results(store: Store) -> None:
    actor = await store.a_user()
    async with running_worker(store, [noop, add]):
        nothing = await store.submit(actor)
        sum_ = await store.submit(actor, type="add", payload={"a": 2})

        assert (await becomes(store, actor, nothing.id, Status.SUCCEEDED)).result == "null"
        done = await becomes(store, actor, sum_.id, Status.SUCCEEDED)
        assert done.result == '{"sum":3,"attempt":1}'


async def test_it_works_by_polling_when_no_wake_up_arrives(store: Store) -> None:
    actor = await store.a_user()
    async with running_worker(store, [noop], wakeups=SilentWakeups()):
        submitted = await store.submit(actor)
        await becomes(store, actor, submitted.id, Status.SUCCEEDED)


async def test_a_failure_is_tried_again_and_its_error_is_kept(store: Store) -> None:
    actor = await store.a_user()
    fast = {"strategy": "fixed", "base_ms": 1}
    async with running_worker(store, [broken]):
        submitted = await store.submit(actor, type="break", backoff=fast, max_attempts=2)
        job = await becomes(store, actor, submitted.id, Status.FAILED)

    assert job.attempts == 2
    said, where = (job.last_error or "").rsplit("\n", 1)
    assert said == "ValueError: it is broken\nat � and ?"
    assert where.startswith("  at test_worker.py:")
    attempts = await store.attempts(actor, submitted.id)
    assert [(each.number, each.status) for each in attempts] == [
        (1, Outcome.FAILED),
        (2, Outcome.FAILED),
    ]


async def test_handlers_decide_by_retry_fail_and_snooze(store: Store) -> None:
    seen: list[int] = []

    @handler("retry")
    async def retry(job: Payload, ctx: JobContext) -> Retry | None:
        return Retry(after="1ms") if ctx.attempt == 1 else None

    @handler("fail")
    async def fail(job: Payload, ctx: JobContext) -> None:
        raise Fail("no such customer")

    @handler("snooze")
    async def snooze(job: Payload, ctx: JobContext) -> None:
        seen.append(ctx.attempt)
        if ctx.attempt < 3:
            raise Snooze("1ms")

    actor = await store.a_user()
    async with running_worker(store, [retry, fail, snooze]):
        ids = {
            type_: (await store.submit(actor, type=type_, max_attempts=2)).id
            for type_ in ("retry", "fail", "snooze")
        }
        retried = await becomes(store, actor, ids["retry"], Status.SUCCEEDED)
        failed = await becomes(store, actor, ids["fail"], Status.FAILED)
        snoozed = await becomes(store, actor, ids["snooze"], Status.SUCCEEDED)

    assert retried.attempts == 1
    assert (failed.attempts, failed.last_error) == (1, "no such customer")
    assert (snoozed.attempts, seen) == (0, [1, 2, 3])


async def test_an_attempt_ends_at_its_timeout(store: Store) -> None:
    @handler("slow")
    async def slow(job: Payload, ctx: JobContext) -> None:
        await asyncio.sleep(60)

    actor = await store.a_user()
    async with running_worker(store, [slow]):
        submitted = await store.submit(actor, type="slow", timeout_ms=20, max_attempts=1)
        job = await becomes(store, actor, submitted.id, Status.FAILED)

    assert job.last_error == "timed out after 0.02 s"
    attempts = await store.attempts(actor, submitted.id)
    assert [each.status for each in attempts] == [Outcome.TIMED_OUT]


async def test_a_hung_thread_keeps_its_slot_and_wears_the_process_out(store: Store) -> None:
    release = threading.Event()

    @handler("hang")
    def hang(job: Payload, ctx: JobContext) -> None:
        release.wait()

    actor = await store.a_user()
    small = msgspec.structs.replace(SETTINGS, slots=2)
    async with running_worker(store, [hang], small) as running:
        submitted = await store.submit(actor, type="hang", timeout_ms=20, max_attempts=1)
        await becomes(store, actor, submitted.id, Status.FAILED)
        await running.ended()
        assert running.worker.is_worn_out
    release.set()


async def test_a_cancel_is_heard_by_the_handler(store: Store) -> None:
    @handler("patient")
    async def patient(job: Payload, ctx: JobContext) -> None:
        while not ctx.canceled:  # noqa: ASYNC110 - what a handler does
            await asyncio.sleep(0.005)
        raise RuntimeError("stopped as asked")

    actor = await store.a_user()
    async with running_worker(store, [patient]):
        submitted = await store.submit(actor, type="patient")
        await becomes(store, actor, submitted.id, Status.RUNNING)
        await store.commands.cancel(actor, submitted.id)
        job = await becomes(store, actor, submitted.id, Status.CANCELED)

    assert job.attempts == 0
    assert (job.last_error or "").splitlines()[0] == "RuntimeError: stopped as asked"
    attempts = await store.attempts(actor, submitted.id)
    assert [each.status for each in attempts] == [Outcome.CANCELED]


async def test_progress_is_shown_while_it_runs_and_kept_after(store: Store) -> None:
    go_on = asyncio.Event()

    @handler("steps")
    async def steps(job: Payload, ctx: JobContext) -> None:
        ctx.progress(0.5)
        await go_on.wait()
        ctx.progress(7)

    actor = await store.a_user()
    async with running_worker(store, [steps]):
        submitted = await store.submit(actor, type="steps")

        async def halfway() -> bool:
            return (await store.job(actor, submitted.id)).progress == 0.5

        await eventually(halfway)
        go_on.set()
        assert (await becomes(store, actor, submitted.id, Status.SUCCEEDED)).progress == 1.0


async def test_a_user_starts_at_once_though_anothers_long_jobs_would_fill_the_pool(
    store: Store,
) -> None:
    started: list[str] = []

    @handler("long")
    async def long(job: Payload, ctx: JobContext) -> None:
        started.append(job["of"])
        await asyncio.sleep(60)

    greedy, other = await store.a_user(), await store.a_user()
    many = [a_job(i, type="long", payload={"of": "greedy"}) for i in range(30)]
    brief = msgspec.structs.replace(SETTINGS, slots=10, shutdown_grace=timedelta(0))
    async with running_worker(store, [long], brief):
        await store.submissions.submit(greedy, many)
        await eventually(lambda: len(started) == 9)
        await store.submit(other, type="long", payload={"of": "other"})
        await eventually(lambda: len(started) == 10)

    assert started == ["greedy"] * 9 + ["other"]


async def test_a_graceful_stop_waits_and_then_releases_uncounted(store: Store) -> None:
    started: list[int] = []

    @handler("long")
    async def long(job: Payload, ctx: JobContext) -> None:
        started.append(ctx.attempt)
        await asyncio.sleep(job["seconds"])

    actor = await store.a_user()
    brief = msgspec.structs.replace(SETTINGS, shutdown_grace=timedelta(milliseconds=300))
    async with running_worker(store, [long], brief) as running:
        short = await store.submit(actor, type="long", payload={"seconds": 0.1})
        endless = await store.submit(actor, type="long", payload={"seconds": 60})
        await eventually(lambda: len(started) == 2)
        await running.stop()

    assert (await store.job(actor, short.id)).status is Status.SUCCEEDED
    job = await store.job(actor, endless.id)
    assert (job.status, job.attempts) == (Status.QUEUED, 0)
    attempts = await store.attempts(actor, endless.id)
    assert [each.status for each in attempts] == [Outcome.RELEASED]


async def test_a_crashed_workers_job_finishes_on_another_with_the_loss_on_record(
    store: Store,
) -> None:
    @handler("once")
    async def once(job: Payload, ctx: JobContext) -> int:
        if ctx.attempt == 1:
            await asyncio.sleep(60)
        return ctx.attempt

    actor = await store.a_user()
    mortal = msgspec.structs.replace(SETTINGS, lease_ttl=timedelta(seconds=1))
    async with running_worker(store, [once], mortal) as first:
        submitted = await store.submit(actor, type="once")
        await becomes(store, actor, submitted.id, Status.RUNNING)
        await first.kill()
        async with running_worker(store, [once], mortal):
            job = await becomes(store, actor, submitted.id, Status.SUCCEEDED)

    assert (job.attempts, job.result) == (0, "2")
    attempts = await store.attempts(actor, submitted.id)
    assert [each.status for each in attempts] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert attempts[0].worker != attempts[1].worker


async def test_a_worker_whose_lease_was_taken_stops_its_job_and_goes_on(store: Store) -> None:
    running_now: list[int] = []

    @handler("watched")
    async def watched(job: Payload, ctx: JobContext) -> int:
        running_now.append(ctx.attempt)
        try:
            await asyncio.sleep(60 if ctx.attempt == 1 else 0)
        finally:
            running_now.remove(ctx.attempt)
        return ctx.attempt

    actor = await store.a_user()
    async with running_worker(store, [watched]):
        submitted = await store.submit(actor, type="watched")
        await eventually(lambda: running_now == [1])
        await store.execute("update worker set expires_at = now() - interval '1 second'")
        job = await becomes(store, actor, submitted.id, Status.SUCCEEDED)

    assert (job.result, running_now) == ("2", [])


async def test_a_claim_whose_answer_is_lost_is_claimed_again_under_a_new_name(
    store: Store,
) -> None:
    actor = await store.a_user()
    kept = store.work.claim
    failed: list[int] = []

    async def claim(
        worker_id: str, routes: Any, limit: int, passed_over: Any = ()
    ) -> list[ClaimedJob]:
        jobs = await kept(worker_id, routes, limit, passed_over)
        if jobs and not failed:
            failed.append(len(jobs))
            raise ConnectionResetError("the answer never arrived")
        return jobs

    store.work.claim = claim  # type: ignore[method-assign]
    async with running_worker(store, [noop]):
        submitted = await store.submit(actor)
        job = await becomes(store, actor, submitted.id, Status.SUCCEEDED)

    assert failed == [1]
    assert (job.attempts, job.status) == (0, Status.SUCCEEDED)
    assert len(await store.attempts(actor, submitted.id)) == 1


async def test_one_bad_result_does_not_spoil_its_neighbours(store: Store) -> None:
    @handler("raw")
    async def raw(job: Payload, ctx: JobContext) -> msgspec.Raw:
        return msgspec.Raw(b"{not json" if job.get("bad") else b"[1.10]")

    actor = await store.a_user()
    batch = [a_job(i, type="raw", payload={"bad": i == 3}, max_attempts=1) for i in range(8)]
    async with running_worker(store, [raw]):
        await store.submissions.submit(actor, batch)
        ends = [await becomes(store, actor, each.id, *_ENDS) for each in batch]

    assert [job.status for job in ends].count(Status.SUCCEEDED) == 7
    assert ends[3].status is Status.FAILED
    assert ends[0].result == "[1.10]"


async def test_a_type_without_a_handler_waits_and_hides_nothing(store: Store) -> None:
    actor = await store.a_user()
    async with running_worker(store, [noop]):
        unknown = await store.submit(actor, type="unknown")
        known = await store.submit(actor)
        await becomes(store, actor, known.id, Status.SUCCEEDED)

        assert (await store.job(actor, unknown.id)).status is Status.QUEUED


async def test_a_worker_goes_on_after_the_database_was_away(store: Store) -> None:
    actor = await store.a_user()
    async with running_worker(store, [noop]):
        first = await store.submit(actor)
        await becomes(store, actor, first.id, Status.SUCCEEDED)
        kill = """
            select pg_terminate_backend(pid) from pg_stat_activity
            where pid <> pg_backend_pid() and datname = current_database()
        """
        await store.execute(kill)

        async def submitted_again() -> bool:
            try:
                again = await store.submit(actor)
                await becomes(store, actor, again.id, Status.SUCCEEDED)
            except Exception:  # noqa: BLE001 - connections that were cut
                return False
            return True

        await eventually(submitted_again)


async def test_a_job_that_ended_while_the_database_was_away_is_not_run_again(
    store: Store,
) -> None:
    runs: list[int] = []
    away: list[bool] = []

    @handler("counted")
    async def counted(job: Payload, ctx: JobContext) -> None:
        away[:] = [True]
        runs.append(ctx.attempt)

    actor, names = await store.a_user(), set()
    claim, finish, beat = store.work.claim, store.work.finish, store.work.beat

    async def claim_unless_away(
        worker_id: str, routes: Any, limit: int, passed_over: Any = ()
    ) -> list[ClaimedJob]:
        names.add(worker_id)
        if away:
            raise UnavailableError
        return await claim(worker_id, routes, limit, passed_over)

    async def finish_unless_away(ends: Any) -> set[UUID]:
        if away:
            raise UnavailableError
        return await finish(ends)

    async def beat_and_be_back(
        worker_id: str, ttl: timedelta, held: Any = None, **load: int
    ) -> Beat:
        answer = await beat(worker_id, ttl, held, **load)
        if held is not None:
            away.clear()
        return answer

    store.work.claim = claim_unless_away  # type: ignore[method-assign]
    store.work.finish = finish_unless_away  # type: ignore[method-assign]
    store.work.beat = beat_and_be_back  # type: ignore[method-assign]
    async with running_worker(store, [counted]):
        submitted = await store.submit(actor, type="counted")
        await eventually(lambda: runs == [1])
        job = await becomes(store, actor, submitted.id, Status.SUCCEEDED)

    assert (runs, job.attempts) == ([1], 0)
    assert len(names) > 1, "it took a new name after the claim that failed"


_ENDS = (Status.SUCCEEDED, Status.FAILED)
