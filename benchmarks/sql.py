"""Statements of the benchmark itself, a connection for each."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import asyncpg

Row: TypeAlias = asyncpg.Record


def execute(dsn: str, *statements: str) -> None:
    """Run statements one after the other, each in autocommit."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def fetch(dsn: str, query: str, *arguments: Any) -> list[Row]:
    """The rows of one query."""

    async def run() -> list[Row]:
        connection = await asyncpg.connect(dsn)
        rows = await connection.fetch(query, *arguments)
        await connection.close()
        return list(rows)

    return asyncio.run(run())
