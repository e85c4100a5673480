"""Days are retired as a whole, and nothing is lost that must stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from internal.adapters.postgres import sweeps
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import ClaimedJob, LoggedLine
from tests.support.conditions import eventually
from tests.support.postgres import on_every_postgres
from tests.support.store import AGING, Store, a_job, an_end, id_of_day, open_store
from tests.support.truth import Truth

OLD = 9
RETIRE = "select retire_day(current_date - 7, '7 days', '30 days', $1)"
TABLES = (*("job", "finished", "attempt", "attempt_log", "idempotency", "replay", "past_payload"),)
LATER = "2100-01-01T00:00:00Z"


class Day:
    """Jobs of nine days ago in every state, of one user who watches."""

    def __init__(self, store: Store, actor: Actor) -> None:
        self.store = store
        self.actor = actor
        self.over: set[UUID] = set()
        self.staying: set[UUID] = set()

    async def fill(self, over: int = 6) -> None:
        for _ in range(over):
            self.over.add(await self._ended("8 days"))
        self.over.add(await self._canceled("8 days"))
        self.over.add(await self._ended("31 days", Outcome.FAILED))
        self.staying.add(await self._ended("8 days", Outcome.FAILED))
        self.staying.add(await self._ended("6 days"))
        self.staying.add(await self._replayed())
        self.staying.add(await self.submitted(run_at=LATER))
        self.staying.add((await self._running()).id)

    async def submitted(self, **fields: Any) -> UUID:
        job = a_job(**{"idempotency_key": f"key {id_of_day(0)}", "max_attempts": 1, **fields})
        job = msgspec.structs.replace(job, id=id_of_day(OLD))
        await self.store.submissions.submit(self.actor, [job])
        return job.id

    async def _running(self) -> ClaimedJob:
        job_id = await self.submitted(priority="high")
        await self.store.execute("update ready set rank = '-infinity' where job_id = $1", job_id)
        claimed = await self.store.claim_one(await self.store.a_worker())
        await self.store.work.log({claimed.lease: [LoggedLine(1, 0.0, "a line")]})
        return claimed

    async def _ended(self, ago: str, outcome: Outcome = Outcome.SUCCEEDED) -> UUID:
        claimed = await self._running()
        await self.store.work.finish([an_end(claimed, outcome)])
        await self._age(claimed.id, ago)
        return claimed.id

    async def _canceled(self, ago: str) -> UUID:
        job_id = await self._replayed()
        await self.store.commands.cancel(self.actor, job_id)
        await self._age(job_id, ago)
        return job_id

    async def _replayed(self) -> UUID:
        job_id = await self.submitted()
        await self.store.commands.edit(self.actor, job_id, '{"edited": true}')
        await self.store.commands.cancel(self.actor, job_id)
        await self.store.commands.retry(self.actor, job_id)
        return job_id

    async def _age(self, job_id: UUID, ago: str) -> None:
        age = f"update finished set since = now() - interval '{ago}' where job_id = $1"  # noqa: S608
        await self.store.execute(age, job_id)

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is known of the jobs that stay, and nothing else may be left."""
        async with self.store.database.hot() as connection:
            return {
                table: sorted(
                    tuple(row)
                    for row in await connection.fetch(f"select * from {table}")  # noqa: S608
                )
                for table in TABLES
            }


@pytest.fixture
async def day(database_url: str) -> AsyncIterator[Day]:
    async with open_store(database_url) as store:
        await store.execute(f"select make_partitions(current_date - {OLD + 1}, current_date)")
        day = Day(store, await store.a_watching_user())
        await day.fill()
        yield day


@on_every_postgres
async def test_what_is_over_goes_and_everything_else_stays_as_it_is(day: Day) -> None:
    store, truth = day.store, Truth(day.store)
    await truth.look()
    before = await day.rows()

    assert await retire(store) == len(day.over)

    jobs = await truth.check(set())
    assert set(jobs) == day.staying
    after = await day.rows()
    of_staying = {
        table: [row for row in rows if any(job_id in row for job_id in day.staying)]
        for table, rows in before.items()
    }
    assert after == of_staying
    assert {len(rows) for rows in after.values()} != {0}
    assert await retire(store) == 0


@on_every_postgres
async def test_a_day_whose_jobs_are_all_over_can_be_dropped_afterwards(day: Day) -> None:
    await day.store.execute("delete from job where id = any($1)", list(day.staying))
    for table in (
        *("finished", "attempt", "attempt_log", "idempotency"),
        *("ready", "scheduled", "lease"),
    ):
        where = "where job_id = any($1)"
        await day.store.execute(f"delete from {table} {where}", list(day.staying))  # noqa: S608
    assert await retire(day.store) == len(day.over)
    await day.store.upkeep.drop_empty_days()
    async with day.store.database.hot() as connection:
        oldest = "select min(relname) from pg_class where relname like 'job\\_2%' and relkind = 'r'"
        newest_old = f"select 'job_' || to_char(current_date - {OLD - 2}, 'YYYYMMDD')"
        assert await connection.fetchval(oldest) > await connection.fetchval(newest_old)


async def test_the_keys_of_what_is_gone_are_free_again(day: Day) -> None:
    store = day.store
    async with store.database.hot() as connection:
        rows = await connection.fetch("select id, idempotency_key from job")
    await retire(store)
    gone = [row["idempotency_key"] for row in rows if row["id"] in day.over]
    jobs = [a_job(idempotency_key=key, max_attempts=1) for key in gone]
    again = await store.submissions.submit(day.actor, jobs)
    assert not any(each.deduplicated for each in again)


async def test_a_job_that_is_just_being_retried_is_not_lost(day: Day) -> None:
    """The retry holds the day until it has committed."""
    store, job_id = day.store, await a_failed_one(day)
    async with store.database.hot() as other, other.transaction():
        retried = await other.fetch(statement("retry"), day.actor.user_id, [job_id], AGING, None)
        assert len(retried) == 1
        with pytest.raises(asyncpg.LockNotAvailableError):
            await retire(store)

    assert await retire(store) == len(day.over) - 1

    assert (await store.job(day.actor, job_id)).status is Status.QUEUED


@on_every_postgres
async def test_a_job_that_is_retried_between_the_look_and_the_lock_is_not_lost(day: Day) -> None:
    store, job_id = day.store, await a_failed_one(day)
    before = await day.rows()
    async with held_up_after_the_look(store):
        retiring = asyncio.create_task(retire(store))
        await eventually(lambda: sleeps(store))
        await store.commands.retry(day.actor, job_id)
    with pytest.raises(asyncpg.SerializationError):
        await retiring
    assert len((await day.rows())["job"]) == len(before["job"])

    assert await retire(store) == len(day.over) - 1

    assert (await store.job(day.actor, job_id)).status is Status.QUEUED


@on_every_postgres
async def test_a_day_that_somebody_reads_is_retired_later(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "PRUNED_SINGLY", 1)
    store = day.store
    async with store.database.hot() as reader:
        async with reader.transaction():
            seen = await reader.fetchval("select count(*) from job")
            await store.sweep()
            assert await reader.fetchval("select count(*) from job") == seen
        await store.sweep()
        assert await reader.fetchval("select count(*) from job") == len(day.staying)


async def test_days_of_which_little_goes_or_much_stays_are_pruned_by_rows(day: Day) -> None:
    assert await retire(day.store, few=len(day.over) + 1) == 0
    for _ in range(len(day.over)):
        await day.submitted()
    assert await retire(day.store) == 0
    await day.store.sweep()
    rows = await day.rows()
    assert not day.over & {row[0] for table in ("job", "attempt_log") for row in rows[table]}


async def test_one_process_at_a_time_retires_days(day: Day) -> None:
    lock = "select pg_advisory_xact_lock(hashtextextended('windlass.retire_day', 0))"
    async with day.store.database.hot() as other, other.transaction():
        await other.execute(lock)
        assert await retire(day.store) is None
        await day.store.sweep()
    assert day.over < {row[0] for row in (await day.rows())["job"]}


async def retire(store: Store, few: int = 1) -> int | None:
    async with store.database.pool.acquire() as connection:
        retired: int | None = await connection.fetchval(RETIRE, few)
    return retired


async def a_failed_one(day: Day) -> UUID:
    """A failed job whose time is over."""
    query = "select job_id from finished where status = 5 and job_id = any($1)"
    async with day.store.database.hot() as connection:
        job_id: UUID = await connection.fetchval(query, list(day.over))
    return job_id


@asynccontextmanager
async def held_up_after_the_look(store: Store) -> AsyncIterator[None]:
    """What retiring does between its look at the day and its locks waits until this ends."""
    await store.execute("create table held as select 1")
    await store.execute("""
        create function hold_up() returns trigger language plpgsql as $$
        begin
          while exists (select from held) loop perform pg_sleep(0.01); end loop;
          return null;
        end $$
    """)
    await store.execute(
        "create trigger hold_up after delete on idempotency execute function hold_up()"
    )
    try:
        yield
    finally:
        await store.execute("delete from held")


async def sleeps(store: Store) -> bool:
    query = "select exists (select from pg_stat_activity where wait_event = 'PgSleep')"
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(query))
