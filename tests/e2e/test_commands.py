from __future__ import annotations

import uuid

import asyncpg
import pytest

from internal.bootstrap.cli import run
from tests.support.serving import windlass


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["api"],
        ["worker"],
        ["migrate"],
        ["migrate", "up"],
        ["migrate", "down"],
        ["migrate", "version"],
        ["admin"],
        ["admin", "grant"],
        ["admin", "revoke"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run([*arguments, "--help"])

    output = capsys.readouterr().out
    assert end.value.code == 0
    assert output.startswith("usage: windlass")
    assert "--supervised" not in output


async def test_the_version_is_told() -> None:
    assert (await _output("--version")).startswith("windlass 0.")


async def test_the_migrations_are_driven_from_the_command_line(database_url: str) -> None:
    newest = (await _output("migrate", "version", DATABASE_URL=database_url)).split()[-1]

    went_down = await _output("migrate", "down", "base", "--yes", DATABASE_URL=database_url)
    went_up = await _output("migrate", "up", DATABASE_URL=database_url)
    stayed = await _output("migrate", "up", DATABASE_URL=database_url)

    assert "The database is now empty." in went_down
    assert f"The database is now at {newest}; it was empty." in went_up
    assert f"The database is at the newest revision, {newest}." in stayed


async def test_an_admin_is_made_and_unmade(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO account (id, email, email_key, password_hash)"
        " VALUES ($1, 'Ada@example.com', 'ada@example.com', '')",
        uuid.uuid4(),
    )
    role = "SELECT role FROM account"

    await _output("admin", "grant", "ADA@example.com", DATABASE_URL=database_url)
    granted = await connection.fetchval(role)
    await _output("admin", "revoke", "ada@example.com", DATABASE_URL=database_url)
    revoked = await connection.fetchval(role)
    await connection.close()

    assert (granted, revoked) == ("admin", "user")


async def _output(*arguments: str, **settings: str) -> str:
    async with windlass(*arguments, **settings) as command:
        assert await command.end() == 0, command.output
    return command.output
