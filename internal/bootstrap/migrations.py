from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

import internal
from internal.adapters.postgres.database import open_engine
from internal.bootstrap.errors import StartError

# "windlass" as a number; it only has to differ from other programs' in the same database.
_LOCK: Final = int.from_bytes(b"windlass")

_log = logging.getLogger(__name__)


class Versions(msgspec.Struct, frozen=True):
    """The revision a database is at, None before the first, and the newest of this Windlass."""

    database: str | None
    newest: str


async def migrate_up(dsn: str) -> Versions:
    """Bring a database to the newest revision; of several callers at once, one does it."""
    async with _locked(dsn) as connection:
        before = await connection.run_sync(_known_versions)
        if before.database != before.newest:
            await connection.run_sync(_run, command.upgrade, "head")
            _log.info("migrated the database from %s to %s", before.database, before.newest)
    return before


async def migrate_down(dsn: str, revision: str = "-1") -> Versions:
    """Go back to a revision, or one step; tables that it does not have are dropped."""
    async with _locked(dsn) as connection:
        await connection.run_sync(_known_versions)
        await connection.run_sync(_run, command.downgrade, revision)
        return await connection.run_sync(_versions)


async def versions(dsn: str) -> Versions:
    """Where a database stands, be it at a revision that this Windlass does not know."""
    async with _connected(dsn) as connection:
        return await connection.run_sync(_versions)


async def require_newest(dsn: str) -> None:
    """Refuse a database that `migrate up` has not been run on.

    Raises:
        StartError: also for a database of a newer Windlass.
    """
    async with _connected(dsn) as connection:
        found = await connection.run_sync(_known_versions)
    if found.database != found.newest:
        at = f"at revision {found.database}" if found.database else "empty"
        raise StartError(
            f"the database is {at}, this Windlass needs {found.newest}: run 'windlass migrate up'"
        )


def migrations_folder() -> Path:
    """In a wheel beside the code, in a checkout at the top."""
    package = Path(internal.__file__).parent
    packed = package / "_assets" / "migrations"
    return packed if packed.is_dir() else package.parent / "migrations"


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[AsyncConnection]:
    engine = open_engine(dsn, name="windlass migrate", poolclass=NullPool)
    async with engine.connect() as connection:
        yield connection


@asynccontextmanager
async def _locked(dsn: str) -> AsyncIterator[AsyncConnection]:
    """The lock belongs to the connection's session: it ends with it, and spans transactions."""
    async with _connected(dsn) as connection:
        waits = 0
        while not await connection.scalar(select(func.pg_try_advisory_lock(_LOCK))):
            # Nothing stays open meanwhile: a concurrent index build waits for every old snapshot.
            await connection.rollback()
            if waits == 0:
                _log.info("another process migrates this database: waiting for it")
            waits += 1
            await asyncio.sleep(0.1)
        await connection.commit()
        yield connection


def _known_versions(connection: Connection) -> Versions:
    found = _versions(connection)
    if found.database is not None:
        try:
            ScriptDirectory.from_config(_config(connection)).get_revision(found.database)
        except CommandError as error:
            raise StartError(
                f"the database is at revision {found.database}, which this Windlass does not know: "
                "a newer Windlass made it, so install that one, or use another database"
            ) from error
    return found


def _versions(connection: Connection) -> Versions:
    current = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    newest = ScriptDirectory.from_config(_config(connection)).get_current_head()
    if newest is None:
        raise StartError(f"{migrations_folder()} has no migrations: install Windlass again")
    return Versions(database=current, newest=newest)


def _run(connection: Connection, what: Callable[[Config, str], None], revision: str) -> None:
    try:
        what(_config(connection), revision)
    except CommandError as error:
        raise StartError(f"cannot migrate to {revision}: {error}") from error


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config
