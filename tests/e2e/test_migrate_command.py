"""`windlass migrate` as an operator runs it, with what may go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import make_url

from tests.support.serving import free_port, refusal, windlass

_SECRET = "0123456789abcdef" * 4


@pytest.fixture
async def few_rights(database_url: str) -> AsyncIterator[str]:
    """The URL of the same database for a role that owns nothing."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "do $$ begin create role windlass_login login; exception when others then null; end $$"
    )
    url = make_url(database_url).set(username="windlass_login")
    yield url.render_as_string(hide_password=False)
    await connection.execute("drop owned by windlass_login")
    await connection.close()


async def test_going_back_wants_to_be_agreed_to(database_url: str) -> None:
    message = await refusal("migrate", "down", "0004", DATABASE_URL=database_url)

    assert message == "windlass: nothing was changed: 'windlass migrate down --yes' goes back"
    assert "0004" not in await _output("migrate", "version", url=database_url)


async def test_going_back_says_what_it_drops(database_url: str) -> None:
    said = await _output("migrate", "down", "0004", "--yes", url=database_url)

    assert "Going back drops:" in said
    assert "  table schedule, about 0 rows" in said
    assert "The database is now at 0004." in said


@pytest.mark.parametrize("revision", ["9999", "nonsense", "-100"])
async def test_an_unknown_revision_is_one_line(database_url: str, revision: str) -> None:
    arguments = ("migrate", "down", "--yes", "--", revision)
    message = await refusal(*arguments, DATABASE_URL=database_url)

    assert f"cannot migrate to {revision}" in message


async def test_a_role_that_may_create_nothing_is_told_how_it_may(
    database_url: str, few_rights: str
) -> None:
    await _output("migrate", "down", "base", "--yes", url=database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("drop table windlass_version")
    await connection.close()

    message = await refusal("migrate", "up", DATABASE_URL=few_rights)

    assert "permission denied for schema public" in message
    assert "GRANT CREATE ON SCHEMA public" in message


async def test_a_role_that_may_not_see_the_tables_is_one_line(few_rights: str) -> None:
    for command in (["up"], ["version"], ["down", "--yes"]):
        message = await refusal("migrate", *command, DATABASE_URL=few_rights)
        assert "permission denied" in message


@pytest.mark.parametrize(
    "command", [["migrate", "up"], ["migrate", "version"], ["migrate", "down"]]
)
async def test_a_database_that_is_not_there_is_one_line(command: list[str]) -> None:
    url = f"postgresql://ada:hunter2@127.0.0.1:{free_port()}/jobs"

    assert "cannot reach the database" in await refusal(*command, DATABASE_URL=url)


async def test_a_role_without_rights_is_refused_at_the_start(few_rights: str) -> None:
    settings = {"DATABASE_URL": few_rights, "WINDLASS_JWT_SECRET": _SECRET, "PORT": free_port()}

    for command in ("api", "worker"):
        message = await refusal(command, **settings)
        assert "may not" in message
        assert "docs/upgrading.md lists under Roles" in message


async def _output(*arguments: str, url: str) -> str:
    async with windlass(*arguments, DATABASE_URL=url) as command:
        assert await command.end() == 0, command.output
    return command.output
