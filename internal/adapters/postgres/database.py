"""The two ways to the database: SQLAlchemy for ordinary statements, asyncpg for the hot ones."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from internal.adapters.postgres.connecting import connect, connect_patience_s
from internal.adapters.postgres.dsn import CONNECT_TIMEOUT_S
from internal.adapters.postgres.faults import (
    DRIVER_ERRORS,
    STALE,
    driver_error,
    name_statement,
    refusal_of,
)
from internal.adapters.postgres.renewal import Age
from internal.adapters.postgres.session_settings import HOT, SERVICE, SESSION
from internal.domain.errors import TimedOutError, UnavailableError

# How long to wait for a free connection, and for one to be made: longer than a connect may take
# (`dsn.py`), so that the log says which host did not answer.
ACQUIRE_TIMEOUT_S: Final = 6.0
# Readiness is asked for every few seconds, by something that gives up soon.
CHECK_TIMEOUT_S: Final = 5.0

_WHY_NOT_WRITABLE: Final = """
    select case when pg_is_in_recovery() then 'it is a standby'
                when current_setting('transaction_read_only')::boolean then 'it is read-only' end
"""


Row: TypeAlias = asyncpg.Record
# A pooled connection; asyncpg's own type differs by whether it is pooled.
Hot: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Database:
    """Both pools of one process."""

    def __init__(self, engine: AsyncEngine, pool: asyncpg.Pool, patience_s: float) -> None:
        """`patience_s` is how long a statement waits for its connection."""
        self.engine = engine
        self.pool = pool
        self._patience_s = patience_s
        self._turns: asyncio.Semaphore | None = None
        self._age = Age(engine)

    def in_turns(self, most: int) -> Database:
        """The same pools for background work, which uses at most so many connections at a time.

        It waits for its turn however long, and leaves the other connections to those who cannot.
        """
        shared = copy.copy(self)
        shared._turns = asyncio.Semaphore(most)  # noqa: SLF001 - a copy of ours
        return shared

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction through SQLAlchemy.

        Raises:
            UnavailableError: when the database cannot be reached.
            TimedOutError: when it does not answer in time.
            ContentionError: when others were in the way: it may succeed at once.
        """
        try:
            async with self.engine.begin() as connection:
                yield connection
        except NoConnectionError as error:
            raise _all_in_use() from error
        except (DBAPIError, *DRIVER_ERRORS) as error:
            is_cut = isinstance(error, DBAPIError) and error.connection_invalidated
            refusal = await self._refusal(error, is_closed=is_cut)
            if refusal is None:
                raise
            raise refusal from refusal.__cause__

    @asynccontextmanager
    async def hot(self) -> AsyncIterator[Hot]:
        """A bare connection in autocommit, for the statements that have a `.sql` file.

        Raises:
            UnavailableError: as `begin`, with its kinds.
        """
        is_closed = True
        try:
            async with (
                self._turns or nullcontext(),
                self.pool.acquire(timeout=self._patience_s) as connection,
            ):
                try:
                    yield connection
                except DRIVER_ERRORS as error:
                    if isinstance(error, STALE):
                        connection.terminate()
                    is_closed = has_ended(connection)
                    raise
        except DRIVER_ERRORS as error:
            if isinstance(error, TimeoutError) and is_closed and self._is_used_up():
                raise _all_in_use() from error
            refusal = await self._refusal(error, is_closed=is_closed)
            if refusal is None:
                raise
            raise refusal from refusal.__cause__

    async def check(self) -> None:
        """Ask whether it answers, and whether it takes writes.

        Raises:
            UnavailableError: saying why not, after five seconds at most.
        """
        asking = asyncio.create_task(self._require_writable(), name="readiness")
        # Not `wait_for`: a server that is stuck does not answer to a cancel either.
        done, _ = await asyncio.wait({asking}, timeout=CHECK_TIMEOUT_S)
        if not done:
            asking.cancel()
            asking.add_done_callback(_forget)
            raise TimedOutError
        asking.result()

    async def close(self) -> None:
        """Close both pools; connections in use are given five seconds."""
        await self.engine.dispose()
        try:
            await asyncio.wait_for(self.pool.close(), timeout=5)
        except TimeoutError:
            self.pool.terminate()

    async def _require_writable(self) -> None:
        async with self.hot() as connection:
            why_not = await connection.fetchval(_WHY_NOT_WRITABLE)
        if why_not:
            await self._renew()  # the next ones may come to another server, or another default
            raise UnavailableError(f"The database is not accepting writes now: {why_not}")

    async def _refusal(self, error: Exception, *, is_closed: bool) -> UnavailableError | None:
        """None for an error of ours, which then names its statement."""
        driver = driver_error(error)
        _let_cancel(error)
        if isinstance(driver, STALE):
            await self._renew()
        refusal = refusal_of(driver, is_closed=is_closed)
        if refusal is None:
            name_statement(error)
        return refusal

    async def _renew(self) -> None:
        """Have every connection of both pools made anew before its next use."""
        if self._age.grows_old():
            await self.pool.expire_connections()

    def _is_used_up(self) -> bool:
        return self.pool.get_idle_size() == 0 and self.pool.get_size() == self.pool.get_max_size()


def has_ended(connection: Hot) -> bool:
    """Whether a connection is closed; its pool takes one that closes back at once."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def open_engine(
    dsn: str, *, name: str, settings: Mapping[str, str] = SESSION, **more: Any
) -> AsyncEngine:
    """SQLAlchemy over connections of ours; `more` are arguments of `create_async_engine`."""

    async def create() -> asyncpg.Connection:
        return await connect(dsn, name=name, settings=settings)

    # hide_parameters: an error's text goes to the log, and a password's hash must not.
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=create, hide_parameters=True, **more
    )


async def open_database(dsn: str, *, name: str, size: int) -> Database:
    """Open both pools; the server need not be there yet.

    Args:
        dsn: `DATABASE_URL` as the operator wrote it.
        name: shown as application_name in pg_stat_activity.
        size: connections of each pool at most.
    """
    engine = open_engine(
        dsn,
        name=name,
        settings=SERVICE,
        pool_size=size,
        max_overflow=0,
        pool_timeout=ACQUIRE_TIMEOUT_S,
    )

    async def connect_hot(*_: object, **options: Any) -> asyncpg.Connection:
        return await connect(dsn, name=name, settings=HOT, **options)

    pool = asyncpg.create_pool(
        connect=connect_hot, min_size=0, max_size=size, reset=_leave_as_it_is
    )
    await pool
    longer_s = max(0.0, connect_patience_s(dsn) - CONNECT_TIMEOUT_S)
    return Database(engine, pool, ACQUIRE_TIMEOUT_S + longer_s)


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """Spare each use of a hot connection the second round trip in which asyncpg resets it.

    No hot statement leaves anything behind: no setting, no cursor, no LISTEN, and advisory locks
    only for its transaction. A transaction that was left open is rolled back all the same.
    """


def _all_in_use() -> UnavailableError:
    return UnavailableError("All connections to the database are in use: try again shortly")


def _let_cancel(error: Exception) -> None:
    """Where a server does not answer to a cancel either, the cancel is what counts."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


def _forget(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
