"""Statements of the benchmark itself, a connection for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias, TypeVar

import asyncpg

from benchmarks.errors import BenchError

Row: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Row]"
T = TypeVar("T")


def execute(dsn: str, *statements: str) -> None:
    """Run statements one after the other, each in autocommit."""

    async def run(connection: Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    _with(dsn, run)


def fetch(dsn: str, query: str, *arguments: Any) -> list[Row]:
    """The rows of one query."""

    async def run(connection: Connection) -> list[Row]:
        return list(await connection.fetch(query, *arguments))

    return _with(dsn, run)


def poll(dsn: str, query: str, *arguments: Any, every_s: float, patience_s: float) -> list[Row]:
    """The rows of a query, once there are any."""

    async def run(connection: Connection) -> list[Row]:
        async with asyncio.timeout(patience_s):
            while True:
                if rows := await connection.fetch(query, *arguments):
                    return list(rows)
                await asyncio.sleep(every_s)

    try:
        return _with(dsn, run)
    except TimeoutError as error:
        raise BenchError(f"not within {patience_s:.0f} s: {' '.join(query.split())}") from error


@contextmanager
def held_snapshot(dsn: str) -> Iterator[None]:
    """Another session in the middle of a long report, which nothing may be cleaned up behind."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(dsn))
        runner.run(connection.execute("begin isolation level repeatable read"))
        runner.run(connection.execute("select count(*) from pg_class"))
        try:
            yield
        finally:
            connection.terminate()


def _with(dsn: str, run: Callable[[Connection], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with _connected(dsn) as connection:
            return await run(connection)

    return asyncio.run(connected())


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        connection.terminate()
