from __future__ import annotations

import asyncio

import asyncpg

from internal.bootstrap.migrations import migrate_down, migrate_up, versions
from tests.support.postgres import on_every_postgres


@on_every_postgres
async def test_the_migrations_go_up_down_and_up_again(database_url: str) -> None:
    await migrate_down(database_url, "base")
    assert (await versions(database_url)).database is None

    await migrate_up(database_url)

    found = await versions(database_url)
    assert found.database == found.newest


@on_every_postgres
async def test_changes_that_were_told_survive_the_way_up_and_down(database_url: str) -> None:
    await migrate_down(database_url, "0002")
    for table in ("outbox", "feed"):
        await _execute(
            database_url,
            f"""
            insert into {table} (user_id, kind, ids)
            values (gen_random_uuid(), 'changed', array[gen_random_uuid()]),
                   (gen_random_uuid(), 'resync', '{{}}')
            """,  # noqa: S608
        )
    before = await _told(database_url)

    await migrate_up(database_url)
    await _execute(database_url, "insert into listener values (gen_random_uuid(), now())")
    up = await _told(database_url)
    await migrate_down(database_url, "0002")

    assert [row["ids"] is None for row in up] == [False, True] * 2
    assert {row["kind"] for row in up} == {"changed"}
    assert await _told(database_url) == before


async def test_of_two_migrations_at_once_one_waits_for_the_other(database_url: str) -> None:
    await migrate_down(database_url, "base")

    before = await asyncio.gather(*(migrate_up(database_url) for _ in range(3)))

    assert sorted(each.database is None for each in before) == [False, False, True]


async def _told(url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        columns = "user_id, kind, ids"
        both = [
            await connection.fetch(f"select {columns} from {table} order by {key}")  # noqa: S608
            for table, key in (("outbox", "id"), ("feed", "position"))
        ]
    finally:
        await connection.close()
    return [row for rows in both for row in rows]


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
