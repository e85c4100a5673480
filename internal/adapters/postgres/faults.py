"""What a refusal of the database means: it is away, others were in the way, or we are wrong."""

from __future__ import annotations

import traceback
from typing import Final

import asyncpg

from internal.adapters.postgres.statements import name_of
from internal.domain.errors import ContentionError, TimedOutError, UnavailableError

_NOT_WRITING: Final = "The database is not accepting writes now: try again shortly"
_FULL: Final = "The database has no room for this now: try again shortly"

DRIVER_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# The same statement may succeed later. All others were refused for what they say.
TRANSIENT: Final = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of its protocol
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutdowns, restarts, statement_timeout
    asyncpg.InsufficientResourcesError,  # connections, memory, disk
    asyncpg.PostgresSystemError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    # While connecting: a password that is being changed, a database that is being restored.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
# The server had to choose whom to stop: the same statement may succeed at once.
CONTENTION: Final = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)
# Late answers of a server that is there.
_SLOW: Final = (TimeoutError, asyncpg.QueryCanceledError)
# Said of the server, not of the statement: what other connections wait for there is lost too.
STALE: Final = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)


def refusal_of(error: BaseException, *, is_closed: bool = False) -> UnavailableError | None:
    """The domain's error for one of the driver; None for one that no repetition mends.

    `is_closed` says that the connection has ended, which the driver calls a misuse, or that there
    was none.
    """
    driver = driver_error(error)
    refusal: UnavailableError
    if isinstance(driver, CONTENTION):
        refusal = ContentionError(retry_after=1)
    elif isinstance(driver, _SLOW) and not is_closed:
        refusal = TimedOutError()
    elif isinstance(driver, TRANSIENT) or (
        is_closed and isinstance(driver, asyncpg.InterfaceError)
    ):
        refusal = UnavailableError(_message(driver))
    else:
        return None
    refusal.__cause__ = driver
    return refusal


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error under those that SQLAlchemy wraps around it."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, DRIVER_ERRORS):
        inner = getattr(inner, "orig", None) or inner.__cause__
    return inner or error


def name_statement(error: BaseException) -> None:
    """Note the statement that was refused: the log shows it with the stack."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        query = frame.f_locals.get("query")
        if isinstance(query, str):
            error.add_note(f"statement: {name_of(query) or _start(query)}")
            return


def _message(error: BaseException) -> str | None:
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return _NOT_WRITING
    if isinstance(error, asyncpg.DiskFullError):
        return _FULL
    return None


def _start(query: str) -> str:
    return " ".join(query[:400].split())[:80]
