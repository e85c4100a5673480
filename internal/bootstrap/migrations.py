"""`windlass migrate`: bringing the tables to a revision."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool

from internal.adapters.postgres.database import open_engine
from internal.adapters.postgres.revision import MAKE_VERSION_TABLE, Revision, read_revision
from internal.adapters.postgres.session_settings import SESSION
from internal.bootstrap import migration_errors
from internal.bootstrap.downgrade import Plan, require_unused, what_goes
from internal.bootstrap.errors import StartError
from internal.bootstrap.foreign_tables import require_room
from internal.bootstrap.migration_errors import is_locked, translated
from internal.bootstrap.revisions import (
    Release,
    migrations_folder,
    this_release,
    warn_of_newer,
)

# While a change waits for a lock on a table, everything else that uses the table waits behind it.
# Longer than the second after which an autovacuum gives way.
LOCK_TIMEOUT: Final = timedelta(milliseconds=1500)
# Between two tries the others catch up.
PAUSE: Final = timedelta(seconds=2)
PATIENCE: Final = timedelta(minutes=1)

# "windlass" as a number; it only has to differ from other programs' in the same database.
_LOCK: Final = int.from_bytes(b"windlass")

Step: TypeAlias = Callable[[Config, str], None]

_log = logging.getLogger(__name__)


class Versions(msgspec.Struct, frozen=True):
    """The revision a database is at, None before the first, and the newest of this Windlass."""

    database: str | None
    newest: str


async def migrate_up(
    dsn: str, *, patience: timedelta = PATIENCE, folder: Path | None = None
) -> Versions:
    """Bring a database to the newest revision; of several callers at once, one does it.

    A database of a newer Windlass that still serves this one is left as it is.

    Raises:
        StartError: when it cannot be done, or tables were in use for all of `patience`.
    """
    folder = folder or migrations_folder()
    release = this_release(folder)
    async with _locked(dsn) as (engine, connection):
        found = await _revision(connection)
        before = _versions(found, release)
        if found is None:
            await require_room(connection)
        elif release.is_older_than(found):
            _accept_newer(found, release)
            return before
        if before.database != before.newest:
            await _upgrade(engine, connection, folder, patience)
            _log.info("migrated the database from %s to %s", before.database, before.newest)
    return before


async def plan_down(dsn: str, revision: str, *, folder: Path | None = None) -> Plan:
    """What going back would drop: tried, and rolled back.

    Raises:
        StartError: when it would fail, or processes use the database.
    """
    folder = folder or migrations_folder()
    async with _locked(dsn) as (_, connection):
        await _require_known(connection, this_release(folder))
        await require_unused(connection)
        return await what_goes(connection, lambda: _down(connection, folder, revision))


async def migrate_down(dsn: str, revision: str = "-1", *, folder: Path | None = None) -> Versions:
    """Go back to a revision, or one step; tables that it does not have are dropped.

    Raises:
        StartError: as `plan_down`.
    """
    folder = folder or migrations_folder()
    async with _locked(dsn) as (_, connection):
        release = this_release(folder)
        await _require_known(connection, release)
        await require_unused(connection)
        await _down(connection, folder, revision)
        return _versions(await _revision(connection), release)


async def versions(dsn: str) -> Versions:
    """Where a database stands, be it at a revision that this Windlass does not know."""
    async with _connected(dsn) as (_, connection):
        found = await _revision(connection)
    return _versions(found, this_release())


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[tuple[AsyncEngine, AsyncConnection]]:
    milliseconds = LOCK_TIMEOUT // timedelta(milliseconds=1)
    engine = open_engine(
        dsn,
        name=migration_errors.APPLICATION,
        settings={**SESSION, "lock_timeout": str(milliseconds)},
        poolclass=NullPool,
    )
    with translated():
        async with engine.connect() as connection:
            yield engine, connection


@asynccontextmanager
async def _locked(dsn: str) -> AsyncIterator[tuple[AsyncEngine, AsyncConnection]]:
    """The lock belongs to the connection's session: it ends with it, and spans transactions."""
    async with _connected(dsn) as (engine, connection):
        waits = 0
        while not await connection.scalar(select(func.pg_try_advisory_lock(_LOCK))):
            # Nothing stays open meanwhile: a concurrent index build waits for every old snapshot.
            await connection.rollback()
            if waits == 0:
                _log.info("another process migrates this database: waiting for it")
            waits += 1
            await asyncio.sleep(0.1)
        await connection.commit()
        yield engine, connection


async def _revision(connection: AsyncConnection) -> Revision | None:
    raw = await connection.get_raw_connection()
    found = await read_revision(raw.driver_connection)  # type: ignore[arg-type]  # asyncpg's
    await connection.commit()
    return found


def _versions(found: Revision | None, release: Release) -> Versions:
    return Versions(None if found is None else found.version, release.newest)


def _accept_newer(found: Revision, release: Release) -> None:
    if (reason := release.refusal(found)) is not None:
        raise StartError(reason)
    warn_of_newer(found, release)


async def _require_known(connection: AsyncConnection, release: Release) -> None:
    found = await _revision(connection)
    if found is not None and release.is_older_than(found):
        raise StartError(
            f"the database is at revision {found.version}, which this Windlass does not know: "
            "go back with the newer Windlass that made it"
        )


async def _upgrade(
    engine: AsyncEngine, connection: AsyncConnection, folder: Path, patience: timedelta
) -> None:
    """Try again and again while tables are in use; each step that was done stays done."""
    until = time.monotonic() + patience.total_seconds()
    async with migration_errors.blockers(engine, connection) as blockers:
        while True:
            try:
                return await connection.run_sync(_run, folder, command.upgrade, "head")
            except Exception as error:
                await connection.rollback()
                if not is_locked(error):
                    raise
                if time.monotonic() > until:
                    raise StartError(
                        f"tables are in use by {blockers}: end it, then migrate again"
                    ) from error
                _log.warning("tables are in use by %s: trying again", blockers)
            await asyncio.sleep(PAUSE.total_seconds())


async def _down(connection: AsyncConnection, folder: Path, revision: str) -> None:
    await connection.run_sync(_run, folder, command.downgrade, revision)


def _run(connection: Connection, folder: Path, step: Step, revision: str) -> None:
    is_outer = connection.in_transaction()
    connection.exec_driver_sql(MAKE_VERSION_TABLE)
    if not is_outer:
        connection.commit()
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    try:
        step(config, revision)
    except CommandError as error:
        raise StartError(f"cannot migrate to {revision}: {error}") from error
