"""PgQueuer: batches on one connection, with its own autovacuum settings applied."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import pgqueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver

from benchmarks.peers.drivers.driver import Handler, Payload, main

# What `Queries.enqueue` writes, for as many jobs as wanted.
PREFILL: Final = """
with queued as (
  insert into pgqueuer (priority, entrypoint, payload, execute_after, headers, status)
  select 0, 'noop', '{"n": 1}'::bytea, now(), '{}'::jsonb, 'queued' from generate_series(1, $1)
  returning id, entrypoint, priority
)
insert into pgqueuer_log (job_id, status, entrypoint, priority)
select id, 'queued', entrypoint, priority from queued
"""


class PgQueuer:
    """A job leaves `pgqueuer` when it is done; its log rows stay."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def install(self) -> None:
        for command in ("install", "autovac"):
            program = Path(sys.executable).with_name("pgq")
            process = await asyncio.create_subprocess_exec(
                program, "--pg-dsn", self._dsn, command, stdout=sys.stderr
            )
            if await process.wait():
                raise RuntimeError(f"pgq {command} failed")

    async def prefill(self, jobs: int) -> None:
        connection = await asyncpg.connect(self._dsn)
        await connection.execute(PREFILL, jobs)
        await connection.close()

    async def open(self, connections: int) -> None:
        pool = await asyncpg.create_pool(self._dsn, min_size=connections, max_size=connections)
        self._queries = pgqueuer.Queries(AsyncpgPoolDriver(pool))

    async def enqueue(self, payload: Payload) -> None:
        await self._queries.enqueue("noop", json.dumps(payload).encode(), 0)

    async def enqueue_many(self, payloads: Sequence[Payload]) -> None:
        encoded = [json.dumps(payload).encode() for payload in payloads]
        await self._queries.enqueue(["noop"] * len(encoded), encoded, [0] * len(encoded))

    async def work(self, run: Handler, settings: Payload) -> None:
        self._watching = await asyncpg.connect(self._dsn)
        worker = pgqueuer.PgQueuer.from_asyncpg_connection(await asyncpg.connect(self._dsn))

        async def noop(job: Any) -> None:
            run(json.loads(job.payload))

        worker.entrypoint("noop")(noop)
        running = worker.run(**settings, dequeue_timeout=timedelta(seconds=30))
        self._running = asyncio.create_task(running)

    async def is_empty(self) -> bool:
        return not await self._watching.fetchval("select exists (select from pgqueuer)")


if __name__ == "__main__":
    main(PgQueuer)
