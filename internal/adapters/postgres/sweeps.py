"""What removes rows that are of no use any more, a batch at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from asyncpg import LockNotAvailableError, TransactionRollbackError

from internal.adapters.postgres import sweep_statements as statements
from internal.adapters.postgres.database import Database, Hot
from internal.adapters.postgres.statements import statement
from internal.domain.ports.sweeps import Sweep

# So many batches are under way at the same time, each with a connection.
AT_ONCE: Final = 2
BATCH: Final = 5_000
# After a batch that failed the next one has a quarter of the rows, down to this.
LEAST_BATCH: Final = 50
BATCH_TIMEOUT_S: Final = 10.0
# Jobs with all that belongs to them.
PRUNED_AT_ONCE: Final = 1_000
# Of a day of which fewer jobs are over, they are deleted one by one: half a second's work.
PRUNED_SINGLY: Final = 10_000
# Ten million jobs take about half a minute.
RETIRE_TIMEOUT_S: Final = 600.0
# How long a queue without jobs and settings is kept.
IDLE_QUEUE: Final = timedelta(hours=24)

MINUTE: Final = timedelta(minutes=1)
OFTEN: Final = 10 * MINUTE
SELDOM: Final = 60 * MINUTE

_log = logging.getLogger(__name__)


class Turns:
    """Lets few batches run at a time, each in a transaction with a time limit of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._free = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Hot]:
        """A connection for one batch."""
        async with (
            self._free,
            self._database.hot() as connection,
            connection.transaction(),
        ):
            await connection.execute(f"set local statement_timeout = '{BATCH_TIMEOUT_S}s'")
            yield connection


class Size:
    """How many rows a batch has: fewer after one that failed, until they end in time again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows = most

    def failed(self) -> None:
        """Go on with a quarter."""
        self.rows = min(self.rows, max(self.rows // 4, LEAST_BATCH))

    def succeeded(self) -> None:
        """Go on with twice as many."""
        self.rows = min(self.rows * 2, self._most)


class Rows:
    """Fits the port Sweep; the statement takes a limit and answers with how many rows went."""

    def __init__(
        self,
        turns: Turns,
        name: str,
        query: str,
        *values: Any,
        every: timedelta = MINUTE,
        most: int = BATCH,
        is_held_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """While `is_held_up` says so there is nothing to do."""
        self.name = name
        self.every = every
        self._turns = turns
        self._query = query
        self._values = values
        self._size = Size(most)
        self._is_held_up = is_held_up

    async def run(self) -> bool:
        if self._is_held_up():
            return False
        rows = self._size.rows
        try:
            async with self._turns.take() as connection:
                gone: int = await connection.fetchval(self._query, *self._values, rows)
        except Exception:
            self._size.failed()
            raise
        self._size.succeeded()
        return gone >= rows


class Walk:
    """Fits the port Sweep; the statement looks behind a key, and answers with the last one it saw.

    For what has no time to go by: it goes through the whole table, a batch at a time.
    """

    def __init__(
        self,
        turns: Turns,
        name: str,
        query: str,
        start: Any,
        *values: Any,
        every: timedelta = MINUTE,
        most: int = BATCH,
    ) -> None:
        self.name = name
        self.every = every
        self._turns = turns
        self._query = query
        self._start = self._after = start
        self._values = values
        self._size = Size(most)

    async def run(self) -> bool:
        rows = self._size.rows
        try:
            async with self._turns.take() as connection:
                last = await connection.fetchval(self._query, self._after, *self._values, rows)
        except Exception:
            self._size.failed()
            raise
        self._size.succeeded()
        self._after = self._start if last is None else last
        return last is not None


class Days:
    """Fits the port Sweep: forgets the finished jobs of a day at once, where they are many."""

    name: Final = "days"
    every: Final = MINUTE

    def __init__(
        self, database: Database, retention: timedelta, retention_failed: timedelta
    ) -> None:
        self._database = database
        self._retention = retention
        self._retention_failed = retention_failed
        self._is_left = False

    def are_left(self) -> bool:
        """Whether a day is left to another process or to later: `prune.sql` waits for that."""
        return self._is_left

    async def run(self) -> bool:
        async with self._database.hot() as connection:
            try:
                retired = await self._retire(connection)
            except (LockNotAvailableError, TransactionRollbackError) as error:
                _log.info("a day is in use: it is retired later", extra={"error": str(error)})
                retired = None
        self._is_left = retired is None
        if retired:
            _log.info("forgot the finished jobs of a day", extra={"jobs": retired})
        return bool(retired)

    async def _retire(self, connection: Hot) -> int | None:
        """The jobs that were forgotten; None while another process is at it."""
        query = """
            select retire_day(
              ((now() - least($1::interval, $2::interval)) at time zone 'UTC')::date, $1, $2, $3)
        """
        values = (self._retention, self._retention_failed, PRUNED_SINGLY)
        async with connection.transaction():
            await connection.execute(f"set local statement_timeout = '{RETIRE_TIMEOUT_S}s'")
            retired: int | None = await connection.fetchval(
                query, *values, timeout=RETIRE_TIMEOUT_S
            )
        return retired


def all_sweeps(
    database: Database, *, retention: timedelta, retention_failed: timedelta
) -> tuple[Sweep, ...]:
    """Every sweep there is, with the state of one process."""
    turns = Turns(database)
    kept = (retention, retention_failed)
    days = Days(database, *kept)

    def rows(name: str, query: str, *values: Any, **options: Any) -> Rows:
        return Rows(turns, name, query, *values, **options)

    return (
        rows("tickets", statements.TICKETS),
        rows("failed logins", statements.LOGIN_FAILURES),
        rows("sessions", statements.SESSIONS, every=OFTEN),
        rows("listeners", statements.LISTENERS),
        rows("live events", statements.FEED),
        rows("rate limits", statements.BUCKETS, every=SELDOM),
        rows("lanes", statements.LANES),
        rows("notes of limits", statements.GATE_NOTES),
        rows("jobs without workers", statements.UNSERVED),
        rows("minutes", statements.MINUTES, every=OFTEN),
        rows("minutes of waits", statements.MINUTES_OF_WAITS, every=OFTEN),
        rows("bulk operations", statements.OPERATIONS, every=SELDOM),
        rows("items of bulk operations", statements.OPERATION_ITEMS, every=SELDOM),
        rows("workers", statements.WORKERS),
        rows("suspects", statements.SUSPECTS),
        rows("batches", statement("prune_batches"), *kept),
        rows("failures", statements.FAILURES, retention_failed, every=OFTEN),
        Walk(turns, "expiry", statement("sweep_expiry"), UUID(int=0)),
        Walk(turns, "queues", statements.QUEUES, 0, IDLE_QUEUE, every=OFTEN, most=500),
        days,
        rows(
            "finished jobs",
            statement("prune"),
            *kept,
            most=PRUNED_AT_ONCE,
            is_held_up=days.are_left,
        ),
    )
