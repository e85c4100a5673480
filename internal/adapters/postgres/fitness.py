"""Whether a database can serve Windlass, asked over connections as they serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import asyncpg

from internal.adapters.postgres.connecting import connect
from internal.adapters.postgres.session_settings import HOT

OLDEST: Final = 15
ANSWER_S: Final = 5.0
NAME: Final = "windlass start check"

_PID: Final = "select pg_backend_pid()"
_SETTINGS: Final = "select lower(name), setting from pg_settings where lower(name) = any($1)"
_ROOM: Final = """
    select least(
      current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
        - (select coalesce(sum(numbackends), 0) from pg_stat_database),
      (select nullif(datconnlimit, -1) - numbackends from pg_database
         join pg_stat_database using (datname) where datname = current_database()),
      (select nullif(rolconnlimit, -1) - (select count(*) from pg_stat_activity
         where usename = current_user) from pg_roles where rolname = current_user))::int
"""
# What a pooler between them says when two sessions share a connection.
_MIXED_UP: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)


class UnfitError(Exception):
    """Why this database cannot be used, and what to do."""


async def require_fit(dsn: str) -> None:
    """Refuse a database whose version, encoding or way there cannot serve.

    Raises:
        UnfitError: saying what is wrong.
    """
    async with _opened(dsn, settings={}) as bare:
        _require_version(bare)
        await _require_unicode(bare)
    async with _opened(dsn) as one, _opened(dsn) as other:
        await _require_own_session(one, other)
        await _require_settings(one)


async def require_notifications(dsn: str, listen_dsn: str) -> None:
    """Refuse a connection for LISTEN that does not hear what is sent on the other one.

    Raises:
        UnfitError: saying so.
    """
    heard = asyncio.Event()

    def hear(*_: object) -> None:
        heard.set()

    channel = f"windlass_{uuid4().hex}"
    async with _opened(dsn) as sender, _opened(listen_dsn) as listener:
        await listener.add_listener(channel, hear)
        await sender.execute("select pg_notify($1, '')", channel)
        try:
            await asyncio.wait_for(heard.wait(), ANSWER_S)
        except TimeoutError:
            raise UnfitError(
                "it does not hear what is sent over DATABASE_URL: set it to a direct connection, "
                "past any pooler, to the same database"
            ) from None


async def room_left(dsn: str) -> int:
    """How many more connections the server lets this role have; those in use are taken off."""
    async with _opened(dsn) as connection:
        # Its own connection counts as one in use.
        return 1 + int(await connection.fetchval(_ROOM, timeout=ANSWER_S))


@asynccontextmanager
async def _opened(
    dsn: str, *, settings: Mapping[str, str] = HOT
) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(dsn, name=NAME, settings=settings)
    try:
        yield connection
    finally:
        connection.terminate()


def _require_version(connection: asyncpg.Connection) -> None:
    major = connection.get_server_version().major
    if major < OLDEST:
        raise UnfitError(f"the database is PostgreSQL {major}: Windlass needs {OLDEST} or newer")


async def _require_unicode(connection: asyncpg.Connection) -> None:
    encoding = await connection.fetchval("show server_encoding", timeout=ANSWER_S)
    if encoding != "UTF8":
        raise UnfitError(
            f"the database's encoding is {encoding}, and Windlass needs UTF8: make one with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


async def _require_own_session(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """Have both at work: a pooler in transaction mode then moves one to another session."""
    try:
        before = await one.fetchval(_PID, timeout=ANSWER_S)
        await other.execute("begin", timeout=ANSWER_S)
        await other.fetchval(_PID, timeout=ANSWER_S)
        is_same = before == await one.fetchval(_PID, timeout=ANSWER_S)
        await other.execute("rollback", timeout=ANSWER_S)
    except _MIXED_UP:
        is_same = False
    if not is_same:
        raise UnfitError(
            "a pooler in transaction mode stands before the database: prepared statements and "
            "settings do not last there; use its session mode (pool_mode = session), "
            "or connect to the database directly"
        )


async def _require_settings(connection: asyncpg.Connection) -> None:
    """Read back what was set."""
    rows: list[Any] = await connection.fetch(_SETTINGS, list(HOT), timeout=ANSWER_S)
    found = dict(map(tuple, rows))
    for name, wanted in HOT.items():
        if found.get(name) != wanted:
            raise UnfitError(
                f"the setting {name} is {found.get(name)!r} on a connection that set it to "
                f"{wanted!r}: something between drops it; connect to the database directly"
            )
