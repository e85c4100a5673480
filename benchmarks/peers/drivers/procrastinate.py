"""Procrastinate: a pool of 20 connections."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from procrastinate import App, PsycopgConnector

from benchmarks.peers.drivers.driver import Handler, Payload, main

CONNECTIONS: Final = 20
# The triggers of the table write the rest, as they do for its API.
PREFILL: Final = """
insert into procrastinate_jobs (queue_name, task_name, priority, args)
select 'default', 'noop', 0, '{"n": 1}' from generate_series(1, %s)
"""
LEFT: Final = """
select exists (select from procrastinate_jobs where status in ('todo', 'doing'))
"""


class Procrastinate:
    """Finished jobs are kept."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._run: Handler = lambda _: None

    async def install(self) -> None:
        await self._open(2).open_async()
        await self._app.schema_manager.apply_schema_async()

    async def prefill(self, jobs: int) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            await connection.execute(PREFILL, (jobs,))

    async def open(self, connections: int) -> None:
        await self._open(max(connections, CONNECTIONS)).open_async()

    async def enqueue(self, payload: Payload) -> None:
        await self._task.defer_async(**payload)

    async def enqueue_many(self, payloads: Sequence[Payload]) -> None:
        await self._task.batch_defer_async(*payloads)

    async def work(self, run: Handler, settings: Payload) -> None:
        self._watching = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        app = self._open(CONNECTIONS)
        await app.open_async()
        self._run = run
        working = app.run_worker_async(**settings, install_signal_handlers=False)
        self._running = asyncio.create_task(working)

    async def is_empty(self) -> bool:
        row = await (await self._watching.execute(LEFT)).fetchone()
        return not row[0]

    def _open(self, connections: int) -> Any:
        connector = PsycopgConnector(conninfo=self._dsn, min_size=2, max_size=connections)
        self._app = App(connector=connector)

        async def noop(**payload: Any) -> None:
            self._run(payload)

        self._task = self._app.task(name="noop", queue="default")(noop)
        return self._app


if __name__ == "__main__":
    main(Procrastinate)
