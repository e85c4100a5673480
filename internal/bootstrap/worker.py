"""The worker process."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from typing import Final

from internal.adapters.postgres.database import open_database
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.bootstrap.process import ExitCode
from internal.bootstrap.settings import Settings
from internal.bootstrap.wiring import Store, handlers_of, worker_of
from internal.domain.errors import UnavailableError

# One for the producer, the completer, the heart and each duty: a slow one keeps none of the others
# from the database, least of all the heart.
CONNECTIONS: Final = 13

# New objects, of which a short job makes about five.
COLLECTED_AFTER: Final = 10_000

_log = logging.getLogger(__name__)


async def run(settings: Settings, stop: asyncio.Event) -> int:
    """Work until `stop` is set; returns the exit code."""
    handlers = handlers_of(settings)
    _collect_seldom()
    dsn = settings.database_url
    database = await open_database(dsn, name="windlass worker", size=CONNECTIONS)
    wakeups = PostgresWakeups(dsn)
    listening = asyncio.create_task(wakeups.run(), name="wake-ups")
    store = Store(database, wakeups, settings)
    worker = worker_of(store, handlers)
    try:
        with suppress(UnavailableError):  # the partitioner tries again
            await store.upkeep().make_partitions()
        _log.info("working", extra={"slots": settings.worker_concurrency, "types": len(handlers)})
        await worker.run(stop)
    finally:
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
