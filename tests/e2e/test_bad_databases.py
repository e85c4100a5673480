"""A database that cannot be used is one line and exit code 78, from every command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from internal.bootstrap.exits import ExitCode
from tests.support.serving import free_port, refused, windlass
from tests.support.tcp_server import TcpServer, tcp_server

_SECRET: Final = "0123456789abcdef" * 4
_COMMANDS: Final = (
    ("migrate", "up"),
    ("migrate", "version"),
    ("admin", "grant", "ada@example.com"),
    ("api",),
    ("worker",),
    ("serve",),
)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[TcpServer]:
    """It wants a password of `ada`, and has a database in LATIN1."""
    async with tcp_server() as running:
        await running.execute(
            "create role ada login password 'another'",
            "create database latin template template0 encoding 'LATIN1' locale 'C'",
        )
        hba = running.folder / "data" / "pg_hba.conf"
        hba.write_text(f"host all ada 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
        await running.execute("select pg_reload_conf()")
        yield running


async def test_every_command_refuses_a_server_that_is_not_there() -> None:
    url = f"postgresql://ada:hunter2@127.0.0.1:{free_port()}/jobs"

    for line in await _refusals(url, *_COMMANDS):
        assert "cannot reach the database postgresql://***@127.0.0.1" in line
        assert "check DATABASE_URL" in line


async def test_commands_refuse_a_parameter_that_it_does_not_know() -> None:
    for line in await _refusals("postgresql://ada:hunter2@db/jobs?sslmode=wrong", *_COMMANDS[:3]):
        assert line.startswith("windlass: DATABASE_URL='postgresql://***@db/jobs?sslmode=wrong'")
        assert "sslmode=wrong" in line


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("ada:hunter2@127.0.0.1:PORT/postgres", "password authentication failed"),
        ("windlass@127.0.0.1:PORT/nowhere", 'database "nowhere" does not exist'),
        ("windlass@127.0.0.1:PORT/postgres?sslmode=require", "rejected SSL upgrade"),
        ("windlass@127.0.0.1:PORT/latin", "encoding is LATIN1, and Windlass needs UTF8"),
        ("windlass@127.0.0.1:1,127.0.0.1:2/postgres", "127.0.0.1:2: "),
        ("windlass@no-such-host.invalid/postgres", "no-such-host.invalid"),
        ("windlass@127.0.0.1:PORT/postgres?options=-cno_such%3D1", "no_such"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(
    server: TcpServer, place: str, reason: str
) -> None:
    url = f"postgresql://{place.replace('PORT', server.port)}"

    for line in await _refusals(url, ("migrate", "up")):
        assert reason in line


async def test_processes_that_may_want_too_many_connections_are_warned_of(
    database_url: str,
) -> None:
    async with windlass(
        "serve",
        DATABASE_URL=database_url,
        PORT=free_port(),
        WINDLASS_JWT_SECRET=_SECRET,
        WINDLASS_WORKER_CONNECTIONS="500",
    ) as serve:
        await serve.says("Windlass is ready")
        serve.press_ctrl_c()
        assert await serve.end() == 0
    assert "up to 513 connections to the database may be needed" in serve.output
    assert "WINDLASS_WORKER_CONNECTIONS" in serve.output


async def _refusals(url: str, *commands: tuple[str, ...]) -> list[str]:
    """What each says, three at a time."""
    turns = asyncio.Semaphore(3)

    async def said_by(command: tuple[str, ...]) -> str:
        settings = {"DATABASE_URL": url, "WINDLASS_JWT_SECRET": _SECRET, "PORT": free_port()}
        async with turns, windlass(*command, **settings) as process:
            assert await process.end() == ExitCode.UNUSABLE, process.output
        lines = [line for line in process.output.splitlines() if line != _greeting(process.output)]
        assert len(lines) == 1, process.output
        assert "hunter2" not in lines[0]
        return refused(lines[0]) or ""

    return await asyncio.gather(*map(said_by, commands))


def _greeting(output: str) -> str | None:
    return next((line for line in output.splitlines() if line.endswith("is starting ...")), None)
