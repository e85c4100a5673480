"""Looking for what breaks an invariant, without getting in anybody's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

from internal.adapters.postgres.database import Database, Row
from internal.adapters.postgres.statements import statement
from internal.domain.invariants import Breach

# A slice takes the server some 30 ms.
SLICE: Final = 2_000
# Of the unfinished jobs, the newest jobs, the keys and the flows, each.
LOOKED_AT: Final = 100_000

LOWEST: Final = UUID(int=0)
HIGHEST: Final = UUID(int=2**128 - 1)
DURABLE, RUNNING = 1, 4


class PostgresInspection:
    """Walks the tables in slices by their keys, each in a transaction of its own."""

    def __init__(
        self, database: Database, *, in_slices_of: int = SLICE, at_most: int = LOOKED_AT
    ) -> None:
        self._database = database
        self._slice = in_slices_of
        self._at_most = at_most

    async def breaches(self) -> AsyncIterator[Sequence[Breach]]:
        yield await self._whole(DURABLE, "inspect_server")
        yield await self._whole(RUNNING, "inspect_counters")
        for walk in (
            self._places(),
            self._walk("inspect_jobs", id=HIGHEST),
            self._walk("inspect_keys", user_id=LOWEST, key=""),
            self._walk("inspect_flows", id=0),
        ):
            async for breaches in walk:
                yield breaches

    async def _whole(self, number: int, name: str) -> list[Breach]:
        async with self._database.hot() as connection:
            return [Breach(number, row["what"]) for row in await connection.fetch(statement(name))]

    async def _places(self) -> AsyncIterator[list[Breach]]:
        """Of the leases all: they are few, and there is most to say about them."""
        after, looked_at = (LOWEST, LOWEST), 0
        while last := await self._look("inspect_places", *after, looked_at >= self._at_most):
            yield _found(last)
            after, looked_at = (last["user_id"], last["job_id"]), looked_at + self._slice

    async def _walk(self, name: str, **after: Any) -> AsyncIterator[list[Breach]]:
        """Each slice goes on behind the last row of the one before, by these columns."""
        for _ in range(self._at_most // self._slice):
            last = await self._look(name, *after.values())
            if last is None:
                return
            yield _found(last)
            after = {column: last[column] for column in after}

    async def _look(self, name: str, *values: Any) -> Row | None:
        """At one slice: its last row with what was found, None behind the end."""
        async with self._database.hot() as connection:
            return await connection.fetchrow(statement(name), self._slice, *values)


def _found(row: Row) -> list[Breach]:
    return [Breach(*each) for each in zip(row["numbers"], row["texts"], strict=True)]
