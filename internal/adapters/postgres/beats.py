"""The heartbeat over a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from internal.adapters.postgres.connecting import connect
from internal.adapters.postgres.faults import DRIVER_ERRORS, refusal_of
from internal.adapters.postgres.session_settings import HOT
from internal.adapters.postgres.statements import statement
from internal.domain.ports.work import Beat

ANSWER_S: Final = 5.0


class PostgresBeats:
    """Fits the port Beats; it connects when it is first needed, and again after a failure."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None

    async def beat(
        self, worker_id: str, ttl: timedelta, *, running: int = 0, lag_ms: int = 0
    ) -> Beat:
        async with self._connected() as connection:
            (row,) = await connection.fetch(statement("beat"), worker_id, ttl, running, lag_ms)
        return Beat(
            alive=row["alive"],
            canceled=frozenset(row["canceled"]),
            waits_alone=row["waits_alone"],
        )

    async def end(
        self, worker_ids: Sequence[str], blamed: Sequence[UUID], suspected: Sequence[UUID] = ()
    ) -> None:
        # A suspect whose end is recorded did not end its process.
        query = """
            update worker
            set expires_at = least(expires_at, now()), end_known = true, blamed = $2,
                suspected = array(
                  select job_id from lease where job_id = any($3) and worker_id = worker.id
                )
            where id = any($1) and not end_known
        """
        async with self._connected() as connection:
            await connection.execute(query, list(worker_ids), list(blamed), list(suspected))

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = None
                self._connection = await connect(
                    self._dsn, name="windlass heartbeat", settings=HOT, command_timeout=ANSWER_S
                )
            yield self._connection
        except BaseException as error:
            is_closed = self._connection is None or self._connection.is_closed()
            await self.close()
            refusal = (
                refusal_of(error, is_closed=is_closed) if isinstance(error, DRIVER_ERRORS) else None
            )
            if refusal is None:
                raise
            raise refusal from refusal.__cause__
