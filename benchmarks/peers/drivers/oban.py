"""Oban, the Python port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import oban
import psycopg
from oban.schema import install_sql

from benchmarks.peers.drivers.driver import NOTHING, Handler, Payload, main

CONNECTIONS: Final = 10
PREFILL: Final = """
insert into oban_jobs (worker, args, queue)
select %s, '{"n": 1}', 'default' from generate_series(1, %s)
"""
LEFT: Final = "select exists (select from oban_jobs where state <> 'completed')"


class Noop:
    """What Oban calls a worker: the code of one job type."""

    run: Handler = staticmethod(lambda _: None)

    async def process(self, job: Any) -> None:
        """Run one job."""
        Noop.run(job.args)


NOOP: Final = oban.worker(queue="default")(Noop)


class Oban:
    """Finished jobs are kept for a day."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def install(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            await connection.execute(install_sql())

    async def prefill(self, jobs: int) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            await connection.execute(PREFILL, (NOOP.new(NOTHING).worker, jobs))

    async def open(self, connections: int) -> None:
        pool = await oban.Oban.create_pool(self._dsn, min_size=connections, max_size=connections)
        self._client = oban.Oban(pool=pool, name="client")
        await self._client.start()

    async def enqueue(self, payload: Payload) -> None:
        await self._client.enqueue(NOOP.new(payload))

    async def enqueue_many(self, payloads: Sequence[Payload]) -> None:
        await self._client.enqueue_many([NOOP.new(payload) for payload in payloads])

    async def work(self, run: Handler, settings: Payload) -> None:
        self._watching = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        Noop.run = staticmethod(run)
        pool = await oban.Oban.create_pool(self._dsn, min_size=1, max_size=CONNECTIONS)
        self._server = oban.Oban(pool=pool, queues={"default": settings["limit"]}, name="server")
        await self._server.start()

    async def is_empty(self) -> bool:
        row = await (await self._watching.execute(LEFT)).fetchone()
        return not row[0]


if __name__ == "__main__":
    main(Oban)
