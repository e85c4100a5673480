"""Wake-ups between processes by LISTEN and NOTIFY, on a connection of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final

import asyncpg

from internal.adapters.postgres.connecting import connect
from internal.domain.errors import reason_of
from internal.domain.ports.feed import Topic

CHANNEL: Final = "windlass"
# NOTIFY takes a lock on the whole database at commit: a burst must not queue up behind it. What
# comes so soon after the last one goes together; a lone one goes at once.
GATHER_S: Final = 0.003
RECONNECT_S: Final = 1.0
# How long an idle connection is trusted, and how long it may take to answer.
PROBE_EVERY_S: Final = 10.0
ANSWER_S: Final = 5.0

_log = logging.getLogger(__name__)


class PostgresWakeups:
    """Fits the port Wakeups. It needs a direct connection: LISTEN does not pass a pooling proxy."""

    def __init__(self, dsn: str, *, name: str = "windlass wake-ups") -> None:
        """`dsn` must be a direct connection; `name` is shown in pg_stat_activity."""
        self._dsn = dsn
        self._name = name
        # The server's process behind the connection, while there is one.
        self.session: int | None = None
        self._waiting: dict[Topic, set[Callable[[], None]]] = {topic: set() for topic in Topic}
        self._pending: set[Topic] = set()
        self._dirty = asyncio.Event()

    def send(self, *topics: Topic) -> None:
        if topics:
            self._wake(topics)
            self._pending.update(topics)
            self._dirty.set()

    @contextmanager
    def subscribe(self, wake: Callable[[], None], *topics: Topic) -> Iterator[None]:
        for topic in topics:
            self._waiting[topic].add(wake)
        try:
            yield
        finally:
            for topic in topics:
                self._waiting[topic].discard(wake)

    async def run(self) -> None:
        """Hold the connection until canceled; a lost one is made again."""
        lost_for: str | None = None
        while True:
            try:
                async with self._listening() as connection:
                    if lost_for is not None:
                        _log.info("wake-ups are back")
                    lost_for = None
                    await self._hold(connection)
            except Exception as error:  # noqa: BLE001 - a dying server shows itself in many ways
                reason = reason_of(error)
                if reason != lost_for:
                    _log.warning("wake-ups are down, polling goes on", extra={"reason": reason})
                lost_for = reason
                await asyncio.sleep(RECONNECT_S)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await connect(self._dsn, name=self._name, command_timeout=ANSWER_S)
        try:
            connection.add_termination_listener(self._end)
            hear = partial(self._hear, connection.get_server_pid())
            await connection.add_listener(CHANNEL, hear)
            self.session = connection.get_server_pid()
            yield connection
        finally:
            self.session = None
            connection.terminate()

    async def _hold(self, connection: asyncpg.Connection) -> None:
        self._wake(Topic)  # whatever was sent before this moment was not heard
        while not connection.is_closed():
            try:
                async with asyncio.timeout(PROBE_EVERY_S):
                    await self._dirty.wait()
            except TimeoutError:
                # A connection whose other end is gone without a word looks like a silent one.
                await connection.execute("select")
            self._dirty.clear()
            await self._flush(connection)
            await asyncio.sleep(GATHER_S)
        raise ConnectionError("the connection for wake-ups was closed")

    def _end(self, _: object) -> None:
        self._dirty.set()

    async def _flush(self, connection: asyncpg.Connection) -> None:
        topics, self._pending = self._pending, set()
        if not topics:
            return
        try:
            await connection.execute("select pg_notify($1, $2)", CHANNEL, ",".join(sorted(topics)))
        except BaseException:
            self.send(*topics)  # on the next connection
            raise

    def _hear(self, own_pid: int, _: object, pid: int, _channel: str, payload: object) -> None:
        """Also after the end of the connection, when its own process id is not to be had."""
        if pid != own_pid:  # its own senders were woken at once
            self._wake(Topic(name) for name in str(payload).split(",") if name in set(Topic))

    def _wake(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            for wake in self._waiting[topic]:
                wake()
