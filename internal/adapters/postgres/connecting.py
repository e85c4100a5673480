"""Opens every connection to the database: pools, LISTEN, migrations, start check, heartbeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from internal.adapters.postgres.dsn import Dsn, read_dsn
from internal.adapters.postgres.session_settings import SERVICE

# For a server that does not even answer that it timed out.
COMMAND_TIMEOUT_S: Final = 20.0

# After these another host may be the one; any other refusal is an answer.
_NEXT_HOST: Final = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)


async def connect(
    dsn: str, *, name: str, settings: Mapping[str, str] = SERVICE, **more: Any
) -> asyncpg.Connection:
    """Open a connection with these settings in force.

    Args:
        dsn: `DATABASE_URL` as the operator wrote it.
        name: shown as application_name in pg_stat_activity, unless the URL has one.
        settings: of the session.
        more: keyword arguments of `asyncpg.connect`.

    Raises:
        ValueError: when the URL cannot be used.
    """
    place = read_dsn(dsn)
    connection = await _first_usable(place, name, {"command_timeout": COMMAND_TIMEOUT_S, **more})
    try:
        await _set(connection, {**place.settings, **settings}, place.connect_timeout_s)
    except BaseException:
        connection.terminate()
        raise
    return connection


def connect_patience_s(dsn: str) -> float:
    """How long `connect` may take to try all hosts, in seconds."""
    place = read_dsn(dsn)
    return place.connect_timeout_s * max(1, len(place.hosts))


async def _first_usable(place: Dsn, name: str, more: Mapping[str, Any]) -> asyncpg.Connection:
    """Connect to the first host that will do; a timeout is for each host by itself."""
    settings = {"application_name": place.application_name or name}
    arguments = {**place.arguments(), "server_settings": settings, **more}
    failures: list[tuple[str, Exception]] = []
    for host, port in place.hosts or ((None, None),):
        try:
            return await asyncpg.connect(
                host=host, port=port, timeout=place.connect_timeout_s, **arguments
            )
        except TimeoutError:
            silent = ConnectionError(f"no answer within {place.connect_timeout_s:g} s")
            failures.append((f"{host}:{port}", silent))
        except _NEXT_HOST as error:
            failures.append((f"{host}:{port}", error))
    _, last = failures[-1]
    if len(failures) == 1:
        raise last
    raise ConnectionError("; ".join(f"{where}: {error}" for where, error in failures)) from last


async def _set(
    connection: asyncpg.Connection, settings: Mapping[str, str], timeout_s: float
) -> None:
    """In one round trip, and without a prepared statement: a pooler may mix those up."""
    calls = (f"set_config({_quoted(k)}, {_quoted(v)}, false)" for k, v in settings.items())
    await connection.execute(f"select {', '.join(calls)}", timeout=timeout_s)


def _quoted(text: str) -> str:
    # For either reading of a backslash, as standard_conforming_strings may be off until it is set.
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
