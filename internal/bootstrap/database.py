"""Which database a process uses: the operator's, or the embedded one of the data directory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
import msgspec

from internal.adapters.embedded import EmbeddedServer, data_directory, running_dsn
from internal.bootstrap.errors import StartError
from internal.bootstrap.secret import kept_secret
from internal.bootstrap.settings import Settings
from internal.bootstrap.values import hide_credentials

_OLDEST: Final = 15
_CONNECT_S: Final = 10
_LOOK_EVERY_S: Final = 0.1
# A bad URL, a wrong host, no server, a refusal.
_UNREACHABLE: Final = (
    OSError,
    TimeoutError,
    ValueError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)


def located(settings: Settings, *, waits: bool) -> Settings:
    """The settings with `database_url` and `jwt_secret` filled in where they are left to us.

    `waits` for an embedded server that somebody is just starting again.

    Raises:
        StartError: when no embedded server runs in the data directory.
    """
    if settings.database_url:
        return settings
    while (dsn := running_dsn(settings.data_dir)) is None and waits:
        time.sleep(_LOOK_EVERY_S)
    if dsn is None:
        raise StartError(
            f"no PostgreSQL runs in {settings.data_dir}: set DATABASE_URL, "
            "or start 'windlass serve' there"
        )
    secret = settings.jwt_secret or kept_secret(settings.data_dir)
    return msgspec.structs.replace(settings, database_url=dsn, jwt_secret=secret)


@contextmanager
def reachable(settings: Settings) -> Iterator[str]:
    """The DSN for a command; an embedded server that does not run is started for as long."""
    dsn = settings.database_url or running_dsn(settings.data_dir)
    if dsn:
        yield dsn
        return
    with data_directory(settings.data_dir):
        server = EmbeddedServer(settings.data_dir)
        try:
            yield server.start()
        finally:
            server.stop()


def require_secret(settings: Settings) -> None:
    """Refuse to serve with an operator's database and no secret of theirs.

    Raises:
        StartError: saying how to make one.
    """
    if settings.database_url and not settings.jwt_secret:
        raise StartError(
            "WINDLASS_JWT_SECRET is required with DATABASE_URL: set it to the output of "
            "'openssl rand -hex 32', the same for every process"
        )


async def require_database(dsn: str) -> None:
    """Refuse a database that does not answer or is too old.

    Raises:
        StartError: saying where it was looked for and what happened.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_S)
    except _UNREACHABLE as error:
        reason = " ".join(str(error).split()) or f"no answer within {_CONNECT_S} s"
        where = hide_credentials(dsn)
        raise StartError(
            f"cannot reach the database {where}: {reason}; check DATABASE_URL"
        ) from error
    major = connection.get_server_version().major
    await connection.close()
    if major < _OLDEST:
        raise StartError(f"the database is PostgreSQL {major}: Windlass needs {_OLDEST} or newer")
