"""What a database role must be allowed, asked at the start."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from internal.bootstrap.errors import StartError
from internal.bootstrap.rights import require_rights

ALL = "select, insert, update, delete"


@pytest.fixture
async def stranger(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as a role that owns nothing and may nothing, which the owner can change."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "do $$ begin create role windlass_few; exception when others then null; end $$"
    )
    try:
        yield connection
    finally:
        await connection.execute("reset role; drop owned by windlass_few")
        await connection.close()


@pytest.mark.parametrize(
    ("table", "right"), [("job", "insert"), ("worker", "delete"), ("account", "update")]
)
async def test_a_missing_right_on_a_table_is_named(
    stranger: asyncpg.Connection, table: str, right: str
) -> None:
    await _grant_all(stranger)
    await stranger.execute(f"revoke {right} on {table} from windlass_few")

    refused = await _refusal(stranger)

    assert f"role windlass_few may not {right.upper()} on {table}" in refused
    assert "docs/upgrading.md" in refused


async def test_a_function_that_may_not_be_run_is_named(stranger: asyncpg.Connection) -> None:
    await _grant_all(stranger)
    await stranger.execute("revoke execute on function day_floor from public")

    assert "may not EXECUTE day_floor" in await _refusal(stranger)


async def test_a_role_that_cannot_make_partitions_is_warned_of_the_days_left(
    stranger: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await _grant_all(stranger)

    await stranger.execute("set role windlass_few")
    await require_rights(stranger)

    (line,) = [each.getMessage() for each in caplog.records]
    assert "no job can be stored in 1" in line  # the migration makes two weeks


async def test_a_role_that_cannot_make_todays_partition_is_refused(
    stranger: asyncpg.Connection,
) -> None:
    await _grant_all(stranger)
    for row in await stranger.fetch(
        "select relname from pg_class where relname ~ '^job_[0-9]{8}$'"
    ):
        await stranger.execute(f"drop table {row['relname']}")

    assert "today has none" in await _refusal(stranger)


async def test_a_member_of_the_owning_role_may_do_all(
    stranger: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await stranger.execute(
        """
        do $$ begin create role windlass_owner; exception when others then null; end $$;
        grant windlass_owner to windlass_few;
        grant create, usage on schema public to windlass_owner;
        do $$
        declare t text;
        begin
          for t in select relname from pg_class
                   where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') loop
            execute format('alter table %I owner to windlass_owner', t);
          end loop;
        end
        $$;
        set role windlass_few;
        """
    )

    await require_rights(stranger)

    assert caplog.records == []
    await stranger.execute("reset role; reassign owned by windlass_owner to current_user")
    await stranger.execute("drop owned by windlass_owner")


async def _grant_all(connection: asyncpg.Connection) -> None:
    await connection.execute(f"grant {ALL} on all tables in schema public to windlass_few")


async def _refusal(connection: asyncpg.Connection) -> str:
    await connection.execute("set role windlass_few")
    with pytest.raises(StartError) as refused:
        await require_rights(connection)
    await connection.execute("reset role")
    assert "\n" not in str(refused.value)
    return str(refused.value)
