"""A real worker in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from uuid import UUID

from internal.adapters.postgres.beats import PostgresBeats
from internal.domain.accounts import Actor
from internal.domain.handlers import Handler, Handlers
from internal.domain.jobs import Job, Status
from internal.domain.ports.feed import Wakeups
from internal.services.bulk import operator
from internal.services.upkeep import (
    batches,
    expirer,
    folder,
    gatekeeper,
    lifeline,
    relay,
    releaser,
    stager,
)
from internal.services.worker.heartbeat import Watched
from internal.services.worker.supervision import Supervision, Unsupervised
from internal.services.worker.worker import Worker, WorkerSettings
from tests.support.conditions import eventually
from tests.support.store import Store

DUTIES = (stager, gatekeeper, expirer, lifeline, releaser, folder)
SETTINGS = WorkerSettings(
    slots=20,
    reserve=0.1,
    lease_ttl=timedelta(seconds=30),
    shutdown_grace=timedelta(seconds=5),
)


class RunningWorker:
    """A worker that a test stops, or leaves to the end of its context."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(worker.run(self._stop))

    async def stop(self) -> None:
        """Stop gracefully; nothing more if it has ended already."""
        self._stop.set()
        if not self._task.done():
            await self._task

    async def ended(self) -> None:
        await self._task

    async def kill(self) -> None:
        """End it as a crash does: nothing is released or recorded."""
        self._task.cancel()
        await asyncio.wait({self._task})


@asynccontextmanager
async def running_worker(
    store: Store,
    handlers: Iterable[Handler],
    settings: WorkerSettings = SETTINGS,
    wakeups: Wakeups | None = None,
    supervision: Supervision | None = None,
) -> AsyncIterator[RunningWorker]:
    duties = [duty(store.upkeep) for duty in DUTIES]
    duties += [
        batches(store.batch_upkeep),
        operator(store.operation_steps),
        relay(store.feed),
    ]
    heard_from = wakeups or store.wakeups
    worker = Worker(
        store.work,
        store.work,
        store.work,
        heard_from,
        Handlers(handlers),
        settings,
        Watched(partial(PostgresBeats, store.url), supervision or Unsupervised()),
    )
    upkeep = [asyncio.create_task(duty.run(heard_from), name=duty.name) for duty in duties]
    running = RunningWorker(worker)
    try:
        yield running
    finally:
        await running.stop()
        for task in upkeep:
            task.cancel()
        await asyncio.wait(upkeep)


async def becomes(store: Store, actor: Actor, job_id: UUID, *statuses: Status) -> Job:
    """Wait until a job has one of these statuses."""

    async def reached() -> bool:
        return (await store.job(actor, job_id)).status in statuses

    await eventually(reached)
    return await store.job(actor, job_id)
