"""Sweeps stand on their own: one that fails or is slow holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from internal.adapters.postgres import sweeps as sweeps_module
from internal.adapters.postgres.sweeps import LEAST_BATCH, Rows, Size, Turns
from internal.domain.errors import LimitReachedError, NameTakenError, WindlassError
from internal.domain.jobs import Outcome, Status
from internal.domain.operations import MOST_RUNNING, Action
from internal.services.upkeep import sweepers
from tests.support.conditions import eventually
from tests.support.postgres import on_every_postgres
from tests.support.schedules import a_schedule
from tests.support.store import Store, an_end
from tests.support.wakeups import SilentWakeups

OLD_LOGINS = """
    insert into login_failure (email_key, address, at)
    select 'a', 'b', now() - interval '2 hours' from generate_series(1, 20)
"""
LATER = "2100-01-01T00:00:00Z"


async def count(store: Store, table: str) -> int:
    async with store.database.hot() as connection:
        rows: int = await connection.fetchval(f"select count(*) from {table}")  # noqa: S608
    return rows


async def is_empty(store: Store, table: str) -> bool:
    return not await count(store, table)


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[None]:
    """All sweeps as periodic tasks."""
    duties = sweepers(store.sweeps)
    assert len({duty.name for duty in duties}) == len(duties)
    tasks = [asyncio.create_task(duty.run(SilentWakeups())) for duty in duties]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("broken", ["ticket", "feed", "queue"])
async def test_a_sweep_that_fails_is_named_and_the_others_go_on(
    store: Store, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    await store.execute(OLD_LOGINS)
    await store.execute(f"alter table {broken} rename to mislaid")
    async with running(store):
        named = {"ticket": "tickets", "feed": "live events", "queue": "queues"}[broken]
        await eventually(lambda: f"sweep of {named} failed" in caplog.text)
        await eventually(partial(is_empty, store, "login_failure"))


async def test_a_sweep_that_waits_for_a_lock_holds_up_no_other(store: Store) -> None:
    await store.execute(OLD_LOGINS)
    async with store.database.hot() as other, other.transaction():
        await other.execute("lock table ticket in access exclusive mode")
        async with running(store):
            await eventually(partial(is_empty, store, "login_failure"))


async def test_a_batch_that_takes_too_long_is_tried_again_with_fewer_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a row takes ten milliseconds, and a batch may take three seconds."""
    monkeypatch.setattr(sweeps_module, "BATCH_TIMEOUT_S", 3)
    query = "select count(pg_sleep(0.01)) from generate_series(1, $1)"
    sweep = Rows(Turns(store.database), "slow", query, most=800)
    with pytest.raises(WindlassError):
        await sweep.run()
    assert await sweep.run()


def test_a_batch_shrinks_to_a_bound_and_grows_again() -> None:
    size = Size(1000)
    for _ in range(5):
        size.failed()
    assert size.rows == LEAST_BATCH
    for _ in range(10):
        size.succeeded()
    assert size.rows == 1000
    small = Size(10)
    small.failed()
    assert small.rows == 10


async def test_batches_of_one_process_take_few_connections(store: Store) -> None:
    busy, most = 0, 0
    turns = Turns(store.database)

    async def one() -> None:
        nonlocal busy, most
        async with turns.take():
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.01)
            busy -= 1

    await asyncio.gather(*(one() for _ in range(10)))
    assert most == sweeps_module.AT_ONCE


@on_every_postgres
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
async def test_when_a_job_expires_is_forgotten_with_its_end(store: Store, outcome: Outcome) -> None:
    actor = await store.a_user()
    done = await store.submit(actor, expires_at=LATER, max_attempts=1)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()), outcome)])
    waits = await store.submit(actor, expires_at=LATER)
    runs_later = await store.submit(actor, expires_at=LATER, run_at="2099-01-01T00:00:00Z")
    canceled = await store.submit(actor, expires_at=LATER)
    await store.commands.cancel(actor, canceled.id)

    await store.sweep("expiry")

    async with store.database.hot() as connection:
        left = {row["job_id"] for row in await connection.fetch("select job_id from expiry")}
    assert left == {waits.id, runs_later.id}
    assert (await store.job(actor, done.id)).expires_at is not None


@on_every_postgres
async def test_a_retried_job_expires_again_at_its_time(store: Store) -> None:
    actor = await store.a_user()
    job = await store.submit(actor, expires_at=LATER)
    await store.commands.cancel(actor, job.id)
    await store.sweep("expiry")
    assert await count(store, "expiry") == 0
    await store.commands.retry(actor, job.id)
    await store.sweep("expiry")
    assert await count(store, "expiry") == 1

    await store.execute("update expiry set at = now()")
    await store.upkeep.expire(10)
    assert (await store.job(actor, job.id)).status is Status.CANCELED


async def test_a_running_job_that_is_past_its_time_is_not_looked_at_each_second(
    store: Store,
) -> None:
    actor = await store.a_user()
    job = await store.submit(actor, expires_at=LATER)
    claimed = await store.claim_one(await store.a_worker())
    for over, pause_s in (("2 seconds", 2), ("1 minute", 60), ("5 days", 300)):
        await store.execute(
            "update job set expires_at = now() - $2::text::interval where id = $1", job.id, over
        )
        await store.execute("update expiry set at = now()")
        await store.upkeep.expire(10)
        async with store.database.hot() as connection:
            pause = await connection.fetchval(
                "select extract(epoch from at - now())::float8 from expiry"
            )
        assert pause_s * 0.5 < pause < pause_s + 5

    await store.work.finish([an_end(claimed, Outcome.FAILED)])
    await store.execute("update expiry set at = now()")
    await store.upkeep.expire(10)
    assert (await store.job(actor, job.id)).status is Status.CANCELED


async def test_operations_that_begin_at_once_are_counted_together(store: Store) -> None:
    actor = await store.a_user()
    job = await store.submit(actor)
    await store.commands.cancel(actor, job.id)
    started = await asyncio.gather(
        *(
            store.operations.start(actor, Action.RETRY, [job.id], 1)
            for _ in range(MOST_RUNNING + 5)
        ),
        return_exceptions=True,
    )
    running = "select count(*) from operation where status = 'running'"
    async with store.database.hot() as connection:
        assert await connection.fetchval(running) <= MOST_RUNNING
    assert sum(isinstance(each, BaseException) for each in started) >= 5


async def test_a_constraint_that_is_not_about_the_name_is_not_told_as_one(store: Store) -> None:
    actor = await store.a_user()
    await a_schedule(store, actor, name="a")
    with pytest.raises(NameTakenError):
        await a_schedule(store, actor, name="a")
    await store.execute("alter table schedule add constraint other check (name <> 'b')")
    with pytest.raises(Exception) as raised:  # noqa: PT011 - a fault of ours, of whatever class
        await a_schedule(store, actor, name="b")
    assert not isinstance(raised.value, NameTakenError | LimitReachedError)
