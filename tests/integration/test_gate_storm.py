"""Everything that locks users, queues, lanes and jobs at once: nobody waits for each other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from internal.domain.accounts import Actor
from internal.domain.errors import InvalidStateError, UnavailableError
from internal.domain.queues import QueueSettings, RateLimit
from tests.support.gates import age_lanes, look
from tests.support.postgres import on_every_postgres
from tests.support.store import Store, a_job, an_end
from tests.support.store import open_store as store_of_its_own
from tests.support.truth import Truth

LONG = bool(os.environ.get("WINDLASS_CHAOS_STEPS"))
SECONDS = 60.0 if LONG else 3.0
EACH = 2
QUEUES = ("a", "b", "c")
TYPES = ("noop", "rare")
ROUTES = ("pull:noop", "pull:rare")
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


@on_every_postgres
@pytest.mark.timeout(0 if LONG else 120)
async def test_nobody_waits_for_each_other(database_url: str) -> None:
    async with store_of_its_own(database_url, size=40) as store:
        storm = Storm(store, [await store.a_user() for _ in range(2)])
        before = await _number(store, DEADLOCKS)
        async with asyncio.TaskGroup() as tasks:
            for seed, deed in enumerate(storm.deeds() * EACH):
                tasks.create_task(storm.keep_on(deed, Random(seed)))  # noqa: S311 - no secret
        await asyncio.sleep(1.1)  # statistics of other connections are told once a second
        assert await _number(store, DEADLOCKS) == before
        for gate in await look(store):
            gate.check(gate)
        await Truth(store, is_heard=False).check(set())


Deed = Callable[[Random], Awaitable[object]]


class Storm:
    """Deeds that processes do at any time, each as often as it can."""

    def __init__(self, store: Store, actors: list[Actor]) -> None:
        self._store = store
        self._actors = actors
        self._worker = ""
        self._jobs: list[tuple[Actor, Any]] = []
        self._pruning = asyncio.Lock()
        self._until = asyncio.get_running_loop().time() + SECONDS

    def deeds(self) -> list[Deed]:
        upkeep = self._store.upkeep
        return [
            self._submit,
            self._submit,
            self._work,
            self._work,
            self._command,
            self._settings,
            self._pause,
            lambda _: upkeep.admit(50),
            lambda _: upkeep.stage_due(100),
            lambda _: upkeep.expire(100),
            lambda _: upkeep.tend_flows(1000),
            lambda _: upkeep.fold_counters(1000),
            self._upkeep,
        ]

    async def keep_on(self, deed: Deed, random: Random) -> None:
        while asyncio.get_running_loop().time() < self._until:
            await deed(random)
            await asyncio.sleep(0)

    async def _submit(self, random: Random) -> None:
        actor = random.choice(self._actors)
        jobs = [
            a_job(
                n,
                type=random.choice(TYPES),
                queue=random.choice(QUEUES),
                **({"concurrency_key": random.choice("xyzuvw")} if random.random() < 0.6 else {}),
                **({"rate_key": random.choice("xyz")} if random.random() < 0.3 else {}),
                **({"delay_ms": random.randint(1, 50)} if random.random() < 0.2 else {}),
            )
            for n in range(random.randint(1, 20))
        ]
        kept = await self._store.submissions.submit(actor, jobs)
        self._jobs = [*self._jobs, *((actor, each.id) for each in kept)][-500:]

    async def _work(self, random: Random) -> None:
        worker = await self._store.a_worker(routes=ROUTES)
        for _ in range(5):
            claimed = await self._store.work.claim(worker, ROUTES, random.choice((1, 20)))
            half = len(claimed) // 2
            await self._store.work.finish([an_end(job) for job in claimed[:half]])
            given = [(job.lease, job.attempts) for job in claimed[half:]]
            if random.random() < 0.8:
                await self._store.work.hand_back(given)
        await self._store.work.leave(worker)

    async def _command(self, random: Random) -> None:
        if not self._jobs:
            return
        commands = self._store.commands
        command = random.choice((commands.cancel, commands.retry))
        with suppress(InvalidStateError):
            await command(*random.choice(self._jobs))

    async def _settings(self, random: Random) -> None:
        choice = random.choice
        settings = QueueSettings(
            max_running=choice((None, 1, 5)),
            rate_limit=choice((None, None, RateLimit(1000, burst=50))),
            rate_limit_per_key=choice((None, RateLimit(1000, burst=5))),
        )
        with suppress(UnavailableError):
            await self._store.queues.set(choice(self._actors), choice(QUEUES), settings)

    async def _pause(self, random: Random) -> None:
        actor, queue = random.choice(self._actors), random.choice(QUEUES)
        with suppress(UnavailableError):
            await self._store.queues.pause(actor, queue, paused=True)
            await self._store.queues.pause(actor, queue, paused=False)

    async def _upkeep(self, random: Random) -> None:
        await self._store.upkeep.rescue_expired(100)
        if random.random() < 0.2:
            await self._prune()
        await asyncio.sleep(0.01)

    async def _prune(self) -> None:
        async with self._pruning:
            await age_lanes(self._store)
            await self._store.sweep()


async def _number(store: Store, query: str) -> int:
    async with store.database.hot() as connection:
        return int(await connection.fetchval(query))
