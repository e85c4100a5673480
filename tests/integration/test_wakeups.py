from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from internal.adapters.postgres.wakeups import CHANNEL, PostgresWakeups
from internal.domain.errors import UnavailableError
from internal.domain.ports.feed import Topic
from tests.support.store import open_store


async def test_the_listener_comes_back_whatever_the_driver_raises(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = asyncpg.connect
    failures: list[Exception] = [asyncpg.InternalClientError("another operation is in progress")]

    async def connect_or_fail(*args: Any, **options: Any) -> asyncpg.Connection:
        if failures:
            raise failures.pop()
        return await connect(*args, **options)

    monkeypatch.setattr(asyncpg, "connect", connect_or_fail)
    wakeups = PostgresWakeups(database_url)
    woken = asyncio.Event()
    listening = asyncio.create_task(wakeups.run())
    with wakeups.subscribe(woken.set, Topic.READY):
        async with asyncio.timeout(30):
            await woken.wait()
    listening.cancel()


async def test_what_is_heard_just_before_a_connection_ends_still_wakes(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver calls back in a later turn of the loop, when the connection may be gone."""
    connect = asyncpg.connect
    told: asyncio.Future[tuple[asyncpg.Connection, Any]] = asyncio.Future()

    class Noting(asyncpg.Connection):
        async def add_listener(self, channel: str, callback: Any) -> None:
            await super().add_listener(channel, callback)
            told.set_result((self, callback))

    async def connect_noting(*args: Any, **options: Any) -> asyncpg.Connection:
        return await connect(*args, connection_class=Noting, **options)

    monkeypatch.setattr(asyncpg, "connect", connect_noting)
    wakeups = PostgresWakeups(database_url)
    listening = asyncio.create_task(wakeups.run())
    connection, callback = await told
    listening.cancel()
    await asyncio.wait((listening,))

    woken = asyncio.Event()
    with wakeups.subscribe(woken.set, Topic.READY):
        callback(connection, 0, CHANNEL, Topic.READY)
    assert connection.is_closed()
    assert woken.is_set()


async def test_a_driver_that_a_dying_server_confuses_is_told_as_unavailable(
    database_url: str,
) -> None:
    async with open_store(database_url) as store:
        with pytest.raises(UnavailableError):
            async with store.database.hot():
                raise asyncpg.InternalClientError("another operation is in progress")
