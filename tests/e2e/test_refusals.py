"""What an operator can put right is told in one line that says how."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import asyncpg

from tests.support.serving import free_port, refusal, windlass

_SECRET = "0123456789abcdef" * 4


async def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = await refusal("serve", PORT=port, WINDLASS_DATA_DIR=str(tmp_path))

    assert f"port {port} on 127.0.0.1 is taken: set PORT" in message


async def test_an_unwritable_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    message = await refusal(
        "serve", WINDLASS_DATA_DIR=str(tmp_path / "file" / "data"), PORT=free_port()
    )

    assert "cannot use the data directory" in message
    assert "set WINDLASS_DATA_DIR" in message


async def test_an_unreachable_database() -> None:
    url = f"postgresql://ada:hunter2@127.0.0.1:{free_port()}/jobs"

    messages = await _refusals("serve", "api", "worker", database_url=url)

    for message in messages:
        assert "cannot reach the database postgresql://***@127.0.0.1" in message
        assert "check DATABASE_URL" in message


async def test_a_database_of_a_newer_windlass(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE windlass_version SET version_num = '9999', serves = '9999'")
    await connection.close()

    messages = await _refusals("serve", "api", "worker", database_url=database_url)

    for message in messages:
        assert "the database is at revision 9999, which a newer Windlass made" in message
        assert "go back with its 'windlass migrate down 00" in message


async def test_a_database_that_was_not_migrated(database_url: str) -> None:
    async with windlass("migrate", "down", "base", "--yes", DATABASE_URL=database_url) as down:
        assert await down.end() == 0

    messages = await _refusals("api", "worker", database_url=database_url)

    for message in messages:
        assert "run 'windlass migrate up'" in message


async def test_a_database_without_a_secret(database_url: str) -> None:
    messages = await asyncio.gather(
        *(refusal(command, DATABASE_URL=database_url) for command in ("serve", "api"))
    )

    for message in messages:
        assert "WINDLASS_JWT_SECRET is required with DATABASE_URL" in message


async def test_a_process_without_a_database(tmp_path: Path) -> None:
    messages = await asyncio.gather(
        *(refusal(command, WINDLASS_DATA_DIR=str(tmp_path)) for command in ("api", "worker"))
    )

    for message in messages:
        assert "set DATABASE_URL, or start 'windlass serve'" in message


async def test_a_bad_setting() -> None:
    message = await refusal("serve", PORT="http")

    assert message == (
        "windlass: PORT='http' must be a whole number from 1 to 65,535, without commas"
    )


async def _refusals(*commands: str, database_url: str) -> list[str]:
    settings = {"DATABASE_URL": database_url, "WINDLASS_JWT_SECRET": _SECRET}
    return await asyncio.gather(
        *(refusal(command, **settings, PORT=free_port()) for command in commands)
    )
