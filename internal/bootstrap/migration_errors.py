"""What stops a migration, in one line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from internal.bootstrap.errors import StartError

APPLICATION: Final = "windlass migrate"

_LOOK_EVERY_S: Final = 0.3
_BLOCKING: Final = """
    select pid, coalesce(nullif(application_name, ''), usename, backend_type) as name,
           coalesce(state, 'unknown') as state
    from pg_stat_activity
    where pid = any(pg_blocking_pids(:pid))
    order by pid
"""
# Another program's table, function, type or index has one of our names.
_TAKEN: Final = (
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateFunctionError,
    asyncpg.DuplicateObjectError,
    asyncpg.DuplicateColumnError,
    asyncpg.WrongObjectTypeError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Make a refusal of what the database says.

    Raises:
        StartError: with the cause and, where there is one, what to do.
    """
    try:
        yield
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        cause = _cause(error)
        said = " ".join(str(cause).split()) or type(cause).__name__
        raise StartError(f"the database refused: {said}{_hint(cause)}") from error


def is_locked(error: BaseException) -> bool:
    """Whether the same may succeed when others have let go of a table."""
    return isinstance(_cause(error), asyncpg.LockNotAvailableError | asyncpg.DeadlockDetectedError)


class Blockers:
    """Who has held up our session last."""

    def __init__(self) -> None:
        self._last: list[str] = []

    def __str__(self) -> str:
        return " and ".join(self._last) or "sessions that have ended since"

    async def watch(self, engine: AsyncEngine, pid: int) -> None:
        """Look until canceled, over a connection of its own."""
        async with engine.connect() as watching:
            await watching.execution_options(isolation_level="AUTOCOMMIT")
            while True:
                rows = (await watching.execute(text(_BLOCKING), {"pid": pid})).all()
                if rows:
                    self._last = [f"process {row.pid} ({row.name}, {row.state})" for row in rows]
                await asyncio.sleep(_LOOK_EVERY_S)


@asynccontextmanager
async def blockers(engine: AsyncEngine, connection: AsyncConnection) -> AsyncIterator[Blockers]:
    """Watch what the connection waits for; nothing is known where that cannot be looked at."""
    pid = (await connection.execute(text("select pg_backend_pid()"))).scalar_one()
    await connection.commit()
    found = Blockers()
    watching = asyncio.create_task(found.watch(engine, pid))
    try:
        yield found
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError, SQLAlchemyError, asyncpg.PostgresError, OSError):
            await watching


def _cause(error: BaseException) -> BaseException:
    """The driver's own error, which SQLAlchemy wraps twice."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            return cause
        cause = cause.__cause__
    return error


def _hint(cause: BaseException) -> str:
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return (
            "; migrate with the role that owns the tables, or let it make some: "
            "GRANT CREATE ON SCHEMA public TO it (docs/upgrading.md, Roles)"
        )
    if isinstance(cause, asyncpg.LockNotAvailableError):
        return "; another session uses a table: end it, then try again"
    if isinstance(cause, _TAKEN):
        return "; another program's is in this database: give Windlass a database of its own"
    return ""
