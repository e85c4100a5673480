from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from internal.adapters.postgres import wakeups as wakeups_module
from internal.adapters.postgres.wakeups import CHANNEL, PostgresWakeups
from internal.domain.errors import UnavailableError
from internal.domain.ports.feed import Topic
from tests.support.conditions import eventually
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


class Relay:
    """A way to the server that can go dead without a word, as a firewall drops packets."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._open = asyncio.Event()
        self._open.set()
        self._ways: list[asyncio.Event] = [self._open]
        self.streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def freeze(self) -> None:
        self._open.clear()

    def go_on(self) -> None:
        """Those that were frozen stay dead: their packets are lost."""
        self._open = asyncio.Event()
        self._open.set()
        self._ways.append(self._open)

    async def end(self) -> None:
        for way in self._ways:
            way.set()
        for stream in self.streams:
            stream.close()
        await asyncio.gather(*self._tasks)

    async def connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server, to_server = await asyncio.open_unix_connection(self._socket)
        self.streams |= {to_client, to_server}
        is_open = self._open
        await asyncio.gather(_pass(client, to_server, is_open), _pass(server, to_client, is_open))


async def _pass(
    source: asyncio.StreamReader, to: asyncio.StreamWriter, is_open: asyncio.Event
) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65_536):
            await is_open.wait()
            to.write(data)
        to.close()


async def test_a_connection_that_went_dead_without_a_word_is_noticed_each_time(
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(wakeups_module, "PROBE_EVERY_S", 0.1)
    monkeypatch.setattr(wakeups_module, "ANSWER_S", 0.5)
    monkeypatch.setattr(wakeups_module, "RECONNECT_S", 0.05)
    folder = parse_qs(urlsplit(database_url).query)["host"][0]
    relay = Relay(Path(folder, ".s.PGSQL.5432"))
    with tempfile.TemporaryDirectory(prefix="relay-") as own, caplog.at_level("INFO"):
        async with await asyncio.start_unix_server(relay.connect, Path(own, ".s.PGSQL.5432")):
            url = database_url.replace(quote(folder), quote(own))
            wakeups = PostgresWakeups(url, name="windlass tests")
            listening = asyncio.create_task(wakeups.run())
            await eventually(lambda: len(relay.streams) > 0)
            for times in (1, 2):
                relay.freeze()
                await eventually(partial(said, caplog, "wake-ups are down", times))
                relay.go_on()
                await eventually(partial(said, caplog, "wake-ups are back", times))
            listening.cancel()
            await asyncio.wait((listening,))
            await relay.end()

    reasons = {each.__dict__["reason"] for each in caplog.records if "down" in each.getMessage()}
    assert all(reasons)


def said(caplog: pytest.LogCaptureFixture, text: str, times: int) -> bool:
    return sum(each.getMessage().startswith(text) for each in caplog.records) >= times
