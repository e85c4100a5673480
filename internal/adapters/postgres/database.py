"""The two ways to the database: SQLAlchemy for ordinary statements, asyncpg for the hot ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, TypeAlias, TypeVar

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from internal.domain.errors import UnavailableError

STATEMENT_TIMEOUT: Final = timedelta(seconds=15)
# For a server that does not even answer that it timed out.
COMMAND_TIMEOUT_S: Final = 20.0
CONNECT_TIMEOUT_S: Final = 5.0
RETRY_AFTER_S: Final = 2
# Statements lock in one order wherever there is one; where two parts meet that cannot, the server
# ends one of them after a second.
DEADLOCKS: Final = 3

# How hot statements are planned: once, not with each call (a millisecond and a half with two weeks
# of partitions), and never by reading a table whole: tables of places are empty at times, a plan
# made then outlives that, and a flush of 500 took 50 ms instead of 5.
HOT_PLANS: Final = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}

# A server that is broken, full or restarting, or had to choose whom to stop: the same statement
# may succeed later, as opposed to one that it refused for what it says.
GONE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of its protocol
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutdowns, restarts, statement_timeout
    asyncpg.InsufficientResourcesError,  # connections, memory, disk
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,  # deadlocks
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)

T = TypeVar("T")

Row: TypeAlias = asyncpg.Record
# A pooled connection; asyncpg's own type differs by whether it is pooled.
Hot: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Database(msgspec.Struct, frozen=True):
    """Both pools of one process; at most `size` connections each."""

    engine: AsyncEngine
    pool: asyncpg.Pool

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction through SQLAlchemy.

        Raises:
            UnavailableError: when the database cannot be reached or does not answer in time.
        """
        try:
            async with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            if isinstance(error.orig, GONE) or is_gone(error.orig):
                _let_cancel(error)
                raise unavailable(error) from error
            raise
        except (NoConnectionError, *GONE) as error:
            _let_cancel(error)
            raise unavailable(error) from error

    @asynccontextmanager
    async def hot(self) -> AsyncIterator[Hot]:
        """A bare connection in autocommit, for the statements that have a `.sql` file.

        Raises:
            UnavailableError: as `begin`.
        """
        try:
            async with self.pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
                yield connection
        except GONE as error:
            _let_cancel(error)
            raise unavailable(error) from error

    async def check(self) -> None:
        """Ask for nothing.

        Raises:
            UnavailableError: as `begin`.
        """
        async with self.hot() as connection:
            await connection.execute("select")

    async def close(self) -> None:
        """Close both pools; connections in use are given five seconds."""
        await self.engine.dispose()
        try:
            await asyncio.wait_for(self.pool.close(), timeout=5)
        except TimeoutError:
            self.pool.terminate()


def _let_cancel(error: Exception) -> None:
    """Where a server does not answer to a cancel either, the cancel is what counts."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


async def again(work: Callable[[], Awaitable[T]]) -> T:
    """Do something that is all or nothing; where it meets a deadlock, a few times more.

    Raises:
        UnavailableError: when the database is away, or deadlocks do not cease.
    """
    for _ in range(DEADLOCKS):
        try:
            return await work()
        except UnavailableError as error:
            if not isinstance(error.__cause__, asyncpg.DeadlockDetectedError):
                raise
    return await work()


def is_gone(error: BaseException | None) -> bool:
    """Whether an error of SQLAlchemy's asyncpg dialect wraps a lost connection."""
    return error is not None and isinstance(error.__cause__, GONE)


def unavailable(error: BaseException) -> UnavailableError:
    """The refusal that a client sees while the database is away."""
    refusal = UnavailableError(retry_after=RETRY_AFTER_S)
    refusal.__cause__ = error
    return refusal


def sqlalchemy_url(dsn: str) -> URL:
    """The DSN for SQLAlchemy with the asyncpg driver."""
    return make_url(dsn).set(drivername="postgresql+asyncpg")


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """Spare each use of a hot connection the second round trip in which asyncpg resets it.

    No hot statement leaves anything behind: no setting, no cursor, no LISTEN, and advisory locks
    only for its transaction. A transaction that was left open is rolled back all the same.
    """


async def open_database(dsn: str, *, name: str, size: int) -> Database:
    """Open both pools; the server need not be there yet.

    Args:
        dsn: `postgresql://user:password@host:port/database`, or with `?host=/socket/folder`.
        name: shown as application_name in pg_stat_activity.
        size: connections of each pool at most.
    """
    settings = {
        "application_name": name,
        "statement_timeout": str(STATEMENT_TIMEOUT // timedelta(milliseconds=1)),
        "idle_in_transaction_session_timeout": "30000",
        "jit": "off",
        "timezone": "UTC",
    }
    engine = create_async_engine(
        sqlalchemy_url(dsn),
        pool_size=size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        hide_parameters=True,  # an error's text goes to the log, and a password's hash must not
        connect_args={
            "server_settings": settings,
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": COMMAND_TIMEOUT_S,
        },
    )
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings=settings | HOT_PLANS,
        reset=_leave_as_it_is,
    )
    await pool
    return Database(engine=engine, pool=pool)
