"""The worker process."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Final

from internal.adapters.postgres.clock import PostgresClock
from internal.adapters.postgres.database import open_database
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.bootstrap.exits import ExitCode
from internal.bootstrap.memory import collect_seldom, collect_when_it_grows
from internal.bootstrap.process import Process
from internal.bootstrap.settings import Settings
from internal.bootstrap.wiring import Store, election_of, handlers_of, worker_of
from internal.domain.errors import UnavailableError
from internal.domain.ids import new_id
from internal.services.background import Background
from internal.services.upkeep import clock_watch
from internal.services.worker.worker import Worker

# Connections that periodic tasks leave to claims, ends and log lines.
FOR_JOBS: Final = 3
# An API process is the better leader: no handler runs there.
LEAVES_TO_OTHERS: Final = timedelta(seconds=2)

_log = logging.getLogger(__name__)


async def run(settings: Settings, process: Process) -> int:
    """Work until it is to stop; returns the exit code."""
    handlers = handlers_of(settings)
    collect_seldom()
    dsn = settings.database_url
    database = await open_database(dsn, name="windlass worker", size=settings.worker_connections)
    wakeups = PostgresWakeups(settings.listen_url, name="windlass worker wake-ups")
    clock = PostgresClock(database, new_id)
    tasks = database.in_turns(settings.worker_connections - FOR_JOBS)
    store = Store(database, tasks, wakeups, clock, settings)
    worker = worker_of(store, handlers, process)
    election = election_of(store, handlers, wait=LEAVES_TO_OTHERS)
    try:
        with suppress(UnavailableError):  # the partitioner tries again
            await clock.compare()
            await store.upkeep().make_partitions()
        async with asyncio.TaskGroup() as group:
            background = Background(group)
            background.begin(store.wakeups.run(), "wake-ups")
            background.begin(clock_watch(clock).run(wakeups), "clock")
            background.begin(collect_when_it_grows(), "memory")
            if not process.is_alone:
                background.begin(election.run(store.wakeups), "election")
            await worker.run(process.stop)
            background.cancel()
    finally:
        await database.close()
    return _ended(worker)


def _ended(worker: Worker) -> int:
    if worker.is_worn_out:
        _log.error("%s: this process ends, to be replaced", worker.wear)
        return ExitCode.RECYCLE
    return ExitCode.OK
