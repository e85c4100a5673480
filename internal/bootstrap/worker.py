"""The worker process."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from typing import Final

from internal.adapters.postgres.clock import PostgresClock
from internal.adapters.postgres.database import open_database
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.bootstrap.process import ExitCode
from internal.bootstrap.settings import Settings
from internal.bootstrap.wiring import Store, handlers_of, worker_of
from internal.domain.errors import UnavailableError
from internal.domain.ids import new_id
from internal.services.upkeep import clock_watch

# Connections that periodic tasks leave to claims, ends and log lines.
FOR_JOBS: Final = 3

# New objects, of which a short job makes about five.
COLLECTED_AFTER: Final = 10_000

_log = logging.getLogger(__name__)


async def run(settings: Settings, stop: asyncio.Event) -> int:
    """Work until `stop` is set; returns the exit code."""
    handlers = handlers_of(settings)
    _collect_seldom()
    dsn = settings.database_url
    database = await open_database(dsn, name="windlass worker", size=settings.worker_connections)
    wakeups = PostgresWakeups(settings.listen_url, name="windlass worker wake-ups")
    listening = asyncio.create_task(wakeups.run(), name="wake-ups")
    clock = PostgresClock(database, new_id)
    tasks = database.in_turns(settings.worker_connections - FOR_JOBS)
    store = Store(database, tasks, wakeups, clock, settings)
    watching = asyncio.create_task(clock_watch(clock).run(wakeups), name="clock")
    worker = worker_of(store, handlers)
    try:
        with suppress(UnavailableError):  # the partitioner tries again
            await clock.compare()
            await store.upkeep().make_partitions()
        _log.info("working", extra={"slots": settings.worker_concurrency, "types": len(handlers)})
        await worker.run(stop)
    finally:
        watching.cancel()
        listening.cancel()
        await database.close()
    if worker.is_worn_out:
        _log.error("too many handlers hang: this process ends, to be replaced")
        return ExitCode.RECYCLE
    return ExitCode.OK


def _collect_seldom() -> None:
    """Reference counts free what a job leaves; looking for cycles every 700 objects cost a fifth.

    What is loaded by now stays for good and is not looked at again.
    """
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)
