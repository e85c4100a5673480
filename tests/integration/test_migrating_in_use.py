"""Migrations beside what uses the database: locks, live processes, waiting jobs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from internal.bootstrap.errors import StartError
from internal.bootstrap.migrations import migrate_down, migrate_up, plan_down, versions
from internal.bootstrap.revisions import this_release
from tests.support.conditions import eventually
from tests.support.releases import LATER, a_newer_release
from tests.support.store import Store, a_job, open_store

ADD_COLUMN = "alter table job add column remark text"
DROP_COLUMN = "alter table job drop column remark"


@pytest.mark.parametrize("up", [ADD_COLUMN, "create index later on flow (id)", "drop table ticket"])
async def test_a_migration_gives_up_on_a_lock_and_names_who_holds_it(
    database_url: str, tmp_path: Path, up: str
) -> None:
    newer = a_newer_release(tmp_path, additive=True, up=up)
    async with _a_lock_holder(database_url) as pid:
        with pytest.raises(StartError, match=rf"process {pid} \(a report, idle in transaction\)"):
            await migrate_up(database_url, patience=timedelta(seconds=1), folder=newer)

    assert (await versions(database_url)).database == this_release().newest


async def test_a_migration_goes_on_when_the_lock_is_free(database_url: str, tmp_path: Path) -> None:
    newer = a_newer_release(tmp_path, additive=True, up=ADD_COLUMN)
    async with _a_lock_holder(database_url):
        migrating = asyncio.create_task(migrate_up(database_url, folder=newer))
        await _a_lock_is_waited_for(database_url)

    await migrating

    assert (await versions(database_url)).database == LATER


async def test_submissions_are_not_held_up_by_a_migration_that_waits(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    newer = a_newer_release(tmp_path, additive=True, up=ADD_COLUMN)
    patience = timedelta(seconds=4)
    user = await store.a_user()
    slowest = 0.0
    async with _a_lock_holder(database_url):
        migrating = asyncio.create_task(migrate_up(database_url, patience=patience, folder=newer))
        while not migrating.done():
            began = time.monotonic()
            await store.submit(user)
            slowest = max(slowest, time.monotonic() - began)
        with pytest.raises(StartError):
            await migrating

    # It waits for its lock for 1.5 s; the rest is for a busy machine. Without a limit it is 15 s.
    assert slowest < 10


async def test_going_back_is_refused_while_processes_are_connected(database_url: str) -> None:
    connection = await asyncpg.connect(
        database_url, server_settings={"application_name": "windlass worker"}
    )
    try:
        for go in (plan_down, migrate_down):
            with pytest.raises(StartError, match="in use by windlass worker: stop Windlass first"):
                await go(database_url, "base")
    finally:
        await connection.close()


async def test_going_back_is_refused_while_a_worker_may_come_back(database_url: str) -> None:
    async with open_store(database_url) as store:
        await store.a_worker(timedelta(hours=1))
    await _released(database_url)

    with pytest.raises(StartError, match="in use by 1 workers"):
        await migrate_down(database_url, "base")


async def test_a_plan_names_what_goes_and_changes_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with open_store(database_url) as store:
        user = await store.a_user()
        await store.submissions.submit(user, [a_job(queue="held"), a_job(queue="limited")])
        await store.execute("update queue set paused = true where name = 'held'")
        await store.execute("update queue set max_running = 2 where name = 'limited'")
    await _released(database_url)
    before = await versions(database_url)

    lines = (await plan_down(database_url, "0004")).lines

    assert any(re.fullmatch(r"table schedule, about \d+ rows", line) for line in lines)
    assert any("of table job the columns" in line for line in lines)
    assert any("the pauses of 1 queues" in line for line in lines)
    assert any("the limits of 1 queues" in line for line in lines)
    assert await versions(database_url) == before


async def test_jobs_that_wait_for_others_are_not_set_free_by_going_back(database_url: str) -> None:
    async with open_store(database_url) as store:
        user = await store.a_user()
        parent = await store.submit(user)
        await store.submit(user, depends_on=[str(parent.id)])
    await _released(database_url)

    for go in (plan_down, migrate_down):
        with pytest.raises(StartError, match="jobs wait for other jobs"):
            await go(database_url, "0010")

    await migrate_up(database_url)


@asynccontextmanager
async def _a_lock_holder(url: str) -> AsyncIterator[int]:
    connection = await asyncpg.connect(url, server_settings={"application_name": "a report"})
    try:
        async with connection.transaction():
            await connection.execute("lock table job, flow, ticket in row exclusive mode")
            yield connection.get_server_pid()
    finally:
        await connection.close()


async def _a_lock_is_waited_for(url: str) -> None:
    await _eventually(url, "select exists (select from pg_locks where not granted)")


async def _released(url: str) -> None:
    """Wait until the store's sessions have gone: a server notices a closed socket a bit later."""
    await _eventually(
        url,
        "select not exists (select from pg_stat_activity where application_name like 'windlass %')",
    )


async def _eventually(url: str, query: str) -> None:
    connection = await asyncpg.connect(url)

    async def holds() -> bool:
        return bool(await connection.fetchval(query))

    try:
        await eventually(holds)
    finally:
        await connection.close()
