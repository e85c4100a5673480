"""Which releases can use which tables, and whose tables they are."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from internal.adapters.postgres.revision import Revision, read_revision
from internal.bootstrap.errors import StartError
from internal.bootstrap.migrations import migrate_down, migrate_up, versions
from internal.bootstrap.revisions import this_release
from internal.bootstrap.usable import require_usable
from tests.support.releases import LATER, a_newer_release


async def test_a_release_starts_on_tables_that_a_newer_one_only_added_to(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await migrate_up(database_url, folder=a_newer_release(tmp_path, additive=True))

    await require_usable(database_url)

    assert "which it still serves" in caplog.text


async def test_a_release_is_refused_on_tables_that_a_newer_one_changed(
    database_url: str, tmp_path: Path
) -> None:
    await migrate_up(database_url, folder=a_newer_release(tmp_path, additive=False))

    way_back = f"'windlass migrate down {this_release().newest}'"
    with pytest.raises(StartError, match=way_back):
        await require_usable(database_url)
    with pytest.raises(StartError, match=way_back):
        await migrate_up(database_url)


async def test_migrating_up_leaves_newer_tables_that_still_serve(
    database_url: str, tmp_path: Path
) -> None:
    await migrate_up(database_url, folder=a_newer_release(tmp_path, additive=True))

    assert (await migrate_up(database_url)).database == LATER
    assert (await versions(database_url)).database == LATER


@pytest.mark.parametrize("additive", [True, False])
async def test_only_the_release_that_knows_a_revision_goes_back_from_it(
    database_url: str, tmp_path: Path, *, additive: bool
) -> None:
    newer = a_newer_release(tmp_path, additive=additive)
    await migrate_up(database_url, folder=newer)

    with pytest.raises(StartError, match="go back with the newer Windlass"):
        await migrate_down(database_url)
    await migrate_down(database_url, folder=newer)

    await require_usable(database_url)


async def test_the_newer_release_is_refused_before_the_tables_are_migrated(
    database_url: str, tmp_path: Path
) -> None:
    newer = this_release(a_newer_release(tmp_path, additive=True))
    here = this_release()

    refusal = newer.refusal(await _revision(database_url))

    assert refusal is not None
    assert f"at revision {here.newest}, this Windlass needs {LATER}" in refusal


async def test_a_database_that_was_not_migrated_is_refused(database_url: str) -> None:
    await migrate_down(database_url, "base")

    with pytest.raises(StartError, match="run 'windlass migrate up'"):
        await require_usable(database_url)


async def test_tables_that_are_gone_are_noticed(database_url: str) -> None:
    await _execute(database_url, "drop table job cascade")

    with pytest.raises(StartError, match="has no table of jobs"):
        await require_usable(database_url)


@pytest.mark.parametrize("revision", ["0003", "4f1c2a", "0012"])
async def test_another_programs_alembic_version_is_left_alone(
    database_url: str, revision: str
) -> None:
    await migrate_down(database_url, "base")
    await _execute(
        database_url,
        f"""
        create table alembic_version (version_num varchar(32) primary key);
        insert into alembic_version values ('{revision}');
        create table invoice (id int);
        """,  # noqa: S608
    )

    await migrate_up(database_url)
    await require_usable(database_url)
    await migrate_down(database_url, "base")

    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("select version_num from alembic_version") == revision
        assert await connection.fetchval("select to_regclass('invoice') is not null")
    finally:
        await connection.close()


@pytest.mark.parametrize("table", ["job", "worker", "account"])
async def test_another_programs_table_under_a_name_of_ours_is_refused(
    database_url: str, table: str
) -> None:
    await migrate_down(database_url, "base")
    await _execute(database_url, f"create table {table} (theirs text)")

    with pytest.raises(StartError, match=rf"another program .* \({table}\)") as refused:
        await migrate_up(database_url)

    assert "\n" not in str(refused.value)
    await _execute(database_url, f"insert into {table} (theirs) values ('kept')")  # noqa: S608


async def test_tables_of_ours_under_the_old_version_table_are_refused(database_url: str) -> None:
    await _execute(
        database_url,
        """
        alter table windlass_version rename to alembic_version;
        alter table alembic_version drop column serves;
        """,
    )

    with pytest.raises(StartError, match="start anew in an empty database"):
        await migrate_up(database_url)


async def test_another_programs_function_under_a_name_of_ours_is_one_line(
    database_url: str,
) -> None:
    await migrate_down(database_url, "base")
    function = "day_floor(day date) returns uuid language sql as 'select null::uuid'"
    await _execute(database_url, f"create function {function}")

    with pytest.raises(StartError, match=r"another program's is in this database") as refused:
        await migrate_up(database_url)

    assert "\n" not in str(refused.value)


async def _revision(url: str) -> Revision | None:
    connection = await asyncpg.connect(url)
    try:
        return await read_revision(connection)
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
