"""Which database a process uses: the operator's, or the embedded one of the data directory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
import msgspec

from internal.adapters.embedded import EmbeddedServer, data_directory, running_dsn
from internal.adapters.postgres.fitness import (
    UnfitError,
    require_fit,
    require_notifications,
    room_left,
)
from internal.bootstrap.errors import StartError
from internal.bootstrap.secret import kept_secret
from internal.bootstrap.settings import Settings
from internal.bootstrap.values import hide_credentials

_LOOK_EVERY_S: Final = 0.1
# A bad URL, a wrong host, no server, a refusal.
_UNREACHABLE: Final = (
    OSError,
    TimeoutError,
    ValueError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

_log = logging.getLogger(__name__)


def located(settings: Settings, *, waits: bool) -> Settings:
    """The settings with `database_url` and `jwt_secret` filled in where they are left to us.

    `waits` for an embedded server that somebody is just starting again.

    Raises:
        StartError: when no embedded server runs in the data directory.
    """
    if settings.database_url:
        return _with_listen_url(settings)
    while (dsn := running_dsn(settings.data_dir)) is None and waits:
        time.sleep(_LOOK_EVERY_S)
    if dsn is None:
        raise StartError(
            f"no PostgreSQL runs in {settings.data_dir}: set DATABASE_URL, "
            "or start 'windlass serve' there"
        )
    secret = settings.jwt_secret or kept_secret(settings.data_dir)
    return _with_listen_url(msgspec.structs.replace(settings, database_url=dsn, jwt_secret=secret))


def _with_listen_url(settings: Settings) -> Settings:
    listen_url = settings.listen_url or settings.database_url
    return msgspec.structs.replace(settings, listen_url=listen_url)


@contextmanager
def reachable(settings: Settings) -> Iterator[str]:
    """The DSN for a command; an embedded server that does not run is started for as long.

    Raises:
        StartError: when the database cannot be used.
    """
    dsn = settings.database_url or running_dsn(settings.data_dir)
    if dsn:
        asyncio.run(require_database(dsn))
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
    """Refuse a database that does not answer, or cannot serve.

    Raises:
        StartError: saying where it was looked for and what happened.
    """
    with _told_of("DATABASE_URL", dsn):
        await require_fit(dsn)


async def require_serving(settings: Settings, *, apis: int = 0, workers: int = 0) -> None:
    """Refuse a database that so many processes cannot use; warn when it has little room for them.

    Raises:
        StartError: as `require_database`, also for a `WINDLASS_LISTEN_URL` that hears nothing.
    """
    dsn, listen_url = settings.database_url, settings.listen_url
    await require_database(dsn)
    if listen_url and listen_url != dsn:
        with _told_of("WINDLASS_LISTEN_URL", listen_url):
            await require_notifications(dsn, listen_url)
    with _told_of("DATABASE_URL", dsn):
        room = await room_left(dsn)
    # Beside their pools each listens, and a worker has one more for its heartbeat.
    wanted = apis * (settings.api_connections + 1) + workers * (settings.worker_connections + 2)
    if wanted > room:
        _log.warning(
            "up to %d connections to the database may be needed, and it has room for %d: lower "
            "WINDLASS_API_CONNECTIONS, WINDLASS_WORKER_CONNECTIONS or WINDLASS_WORKER_PROCESSES, "
            "or raise its max_connections",
            wanted,
            room,
        )


@contextmanager
def _told_of(setting: str, dsn: str) -> Iterator[None]:
    """Make of every failure one line that names the setting and the place."""
    where = hide_credentials(dsn)
    try:
        yield
    except UnfitError as error:
        raise StartError(f"cannot use {setting} {where}: {error}") from error
    except _UNREACHABLE as error:
        reason = " ".join(str(error).split()) or "no answer in time"
        raise StartError(f"cannot reach the database {where}: {reason}; check {setting}") from error
