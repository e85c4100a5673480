"""What goes wrong only under load, in races, or after a very long time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from internal.adapters.postgres import database as database_module
from internal.adapters.postgres import flows as flows_module
from internal.adapters.postgres import wakeups as wakeups_module
from internal.adapters.postgres.database import open_database
from internal.adapters.postgres.statements import statement
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.domain.accounts import Actor
from internal.domain.attempt_log import LogPlace
from internal.domain.errors import ContentionError, UnavailableError
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.feed import Topic
from internal.domain.ports.work import Lease, LoggedLine, Progress
from tests.support.conditions import eventually
from tests.support.store import ROUTES, Store, a_job, an_end


async def test_a_job_that_was_started_very_often_does_not_stop_the_queue(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    restless = await store.submit(actor)
    other = await store.submit(actor)
    starts = 2**15 - 1
    await store.execute("update ready set number = $2 where job_id = $1", restless.id, starts)

    claimed = await store.work.claim(worker, ROUTES, 10)
    await store.work.finish([an_end(job, Outcome.RELEASED) for job in claimed])

    assert {job.id: job.number for job in claimed} == {restless.id: starts + 1, other.id: 1}
    assert (await store.job(actor, restless.id)).status is Status.QUEUED


async def test_a_job_that_was_retried_very_often_is_retried_again(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor, max_attempts=1)
    failures = 2**15 - 1
    query = "update ready set attempts = $2 - 1, max_attempts = $2 where job_id = $1"
    await store.execute(query, submitted.id, failures)
    await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])

    await store.commands.retry(actor, submitted.id)
    await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])

    job = await store.job(actor, submitted.id)
    assert (job.status, job.attempts) == (Status.FAILED, failures + 1)


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
async def test_an_old_end_of_a_job_does_not_disturb_the_new_one_beside_it(
    store: Store, outcome: Outcome
) -> None:
    actor, first, second = await store.a_user(), await store.a_worker(), await store.a_worker()
    submitted = await store.submit(actor, max_attempts=2)
    old = await store.claim_one(first)
    await store.expire(first)
    await store.upkeep.rescue_expired(10)
    new = await store.claim_one(second)

    assert await store.work.finish([an_end(old), an_end(new, outcome)]) == set()

    attempts = await store.attempts(actor, submitted.id)
    assert [each.status for each in attempts or []] == [Outcome.LOST, outcome]


async def test_progress_does_not_wait_for_jobs_that_are_ending(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.submissions.submit(actor, [a_job(0), a_job(1)])
    ending, running = await store.work.claim(worker, ROUTES, 2)
    shares = {Lease(job.id, job.token): Progress(0.5) for job in (ending, running)}

    async with store.database.hot() as connection, connection.transaction():
        await connection.execute("select from lease where job_id = $1 for update", ending.id)
        async with asyncio.timeout(10):
            await store.work.progress(shares)

    assert (await store.job(actor, running.id)).progress == 0.5
    assert (await store.job(actor, ending.id)).progress is None


async def test_lines_of_jobs_that_are_ending_are_left_to_their_ends(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.submissions.submit(actor, [a_job(0), a_job(1)])
    ending, running = await store.work.claim(worker, ROUTES, 2)
    lines = {Lease(job.id, job.token): [a_line()] for job in (ending, running)}

    async with store.database.hot() as connection, connection.transaction():
        await connection.execute("select from lease where job_id = $1 for update", ending.id)
        async with asyncio.timeout(10):
            assert await store.work.log(lines) == {running.id}

    assert await logged(store, actor, running.id) == ["a line"]
    assert await logged(store, actor, ending.id) == []


async def test_nobody_ends_a_job_between_the_look_at_its_lease_and_its_lines(store: Store) -> None:
    """So a deletion that follows the end finds them all. A cancel need not wait."""
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    claimed = await store.claim_one(worker)
    async with store.database.hot() as connection, connection.transaction():
        values = ([claimed.id], [claimed.token], [claimed.id], [1], [0.0], ["a line"])
        await connection.fetch(statement("log"), *values)
        async with asyncio.timeout(10):
            await store.commands.cancel(actor, submitted.id)
        ending = asyncio.create_task(store.work.finish([an_end(claimed)]))
        await eventually(lambda: somebody_waits_for_a_lock(store))
    assert await ending == set()
    await store.commands.delete(actor, submitted.id)

    async with store.database.hot() as connection:
        assert await connection.fetchval("select count(*) from attempt_log") == 0


async def test_a_line_whose_answer_was_lost_is_kept_once(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor)
    claimed = await store.claim_one(worker)
    lines = {claimed.lease: [a_line(number) for number in (1, 2)]}
    ends = await asyncio.gather(*(store.work.log(lines) for _ in range(5)))

    assert ends == [{submitted.id}] * 5
    assert await logged(store, actor, submitted.id) == ["a line"] * 2


async def somebody_waits_for_a_lock(store: Store) -> bool:
    query = "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(query))


def a_line(number: int = 1) -> LoggedLine:
    return LoggedLine(number, time.monotonic(), "a line")


async def logged(store: Store, actor: Actor, job_id: UUID) -> list[str]:
    page = await store.reads.logs(actor, job_id, LogPlace(), None, 100)
    assert page is not None
    return [each.line for each in page.lines]


async def test_a_deadlock_is_told_as_something_that_may_work_next_time(store: Store) -> None:
    users = [await store.a_user(), await store.a_user()]
    met = asyncio.Barrier(2)

    async def lock_both(first: int, second: int) -> None:
        async with store.database.hot() as connection, connection.transaction():
            query = "select from tenant where user_id = $1 for update"
            await connection.execute(query, users[first].user_id)
            await met.wait()
            await connection.execute(query, users[second].user_id)

    ends = await asyncio.gather(lock_both(0, 1), lock_both(1, 0), return_exceptions=True)

    assert [type(end) for end in ends if end is not None] == [ContentionError]


async def test_a_request_that_gets_no_connection_in_time_is_told_to_come_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "ACQUIRE_TIMEOUT_S", 0.2)
    database = await open_database(database_url, name="windlass tests", size=1)
    try:
        async with database.begin(), database.hot():
            with pytest.raises(UnavailableError, match=r"All connections .* are in use"):
                async with database.begin():
                    pass
            with pytest.raises(UnavailableError, match=r"All connections .* are in use"):
                async with database.hot():
                    pass
    finally:
        await database.close()


async def test_known_flows_may_be_forgotten_at_any_moment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows_module, "KNOWN_FLOWS", 1)
    actor, other = await store.a_user(), await store.a_user()
    await store.submit(actor, queue="known")
    both = [a_job(0, queue="known"), a_job(1, queue="new")]
    async with store.database.hot() as connection:
        transaction = connection.transaction()
        await transaction.start()
        query = "insert into queue (user_id, name) values ($1, 'new')"
        await connection.execute(query, actor.user_id)
        waiting = asyncio.create_task(store.submissions.submit(actor, both))
        await eventually(lambda: _somebody_waits(store))

        await store.submit(other, queue="second")
        await store.submit(other, queue="third")
        await transaction.rollback()

    assert [each.status for each in await waiting] == [Status.QUEUED, Status.QUEUED]


async def _somebody_waits(store: Store) -> bool:
    query = "select exists (select from pg_locks where not granted)"
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(query))


async def test_a_wake_up_that_could_not_be_sent_is_sent_when_the_connection_is_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, listener = PostgresWakeups(database_url), PostgresWakeups(database_url)
    monkeypatch.setattr(wakeups_module, "RECONNECT_S", 0.01)
    begun, heard = asyncio.Event(), asyncio.Event()
    execute, faults = asyncpg.Connection.execute, [ConnectionResetError("cut")]

    async def cut_once(self: asyncpg.Connection, query: str, *values: Any, **options: Any) -> str:
        if "pg_notify" in query and faults:
            raise faults.pop()
        return await execute(self, query, *values, **options)

    monkeypatch.setattr(asyncpg.Connection, "execute", cut_once)
    with sender.subscribe(begun.set, Topic.FEED), listener.subscribe(heard.set, Topic.READY):
        living = [asyncio.create_task(each.run()) for each in (sender, listener)]
        await begun.wait()
        await heard.wait()  # both listen now
        heard.clear()

        sender.send(Topic.READY)

        await asyncio.wait_for(heard.wait(), 20)
    assert faults == []
    for task in living:
        task.cancel()


async def test_a_cancel_is_not_taken_for_a_database_that_is_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "ACQUIRE_TIMEOUT_S", 0.5)
    process: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def sleep() -> None:
        async with store.database.hot() as connection:
            process.set_result(await connection.fetchval("select pg_backend_pid()"))
            await connection.execute("select pg_sleep(60)")

    sleeping = asyncio.create_task(sleep())
    os.kill(await process, signal.SIGSTOP)  # it does not even hear that it is canceled
    try:
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
    finally:
        os.kill(await process, signal.SIGCONT)
