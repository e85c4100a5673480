"""Whatever is killed and whenever: each accepted job is done once, and every attempt is on record.

`make chaos` kills more of more.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from internal.adapters.embedded import EmbeddedServer
from internal.adapters.embedded.postmaster import postmaster
from internal.bootstrap.migrations import migrate_up
from internal.domain.accounts import Actor
from internal.domain.errors import UnavailableError
from internal.domain.handlers import Handlers
from internal.domain.submission import NewJob, Submission, accept
from tests.support.conditions import eventually
from tests.support.fleet import Fleet, fleet
from tests.support.journal import PATH, journaled, read_journal
from tests.support.records import Tally, check_each_done_once
from tests.support.serving import kill_postgres
from tests.support.store import DEFAULTS, Store, open_store

ROUNDS: Final = int(os.environ.get("WINDLASS_CHAOS_ROUNDS", "0"))
JOBS: Final = int(os.environ.get("WINDLASS_CHAOS_JOBS", "20000"))
SEED: Final = int(os.environ.get("WINDLASS_CHAOS_SEED", "1"))

WORKERS: Final = 4
BETWEEN_KILLS_S: Final = 0.3
SUBMITTED_AT_ONCE: Final = 100
PATIENCE_S: Final = 600
COUNTED_EVERY_S: Final = 0.1


class Plan(msgspec.Struct, frozen=True):
    """How much is done and broken in one round."""

    jobs: int
    database_kills: int
    seed: int


PLANS: Final = [Plan(JOBS, 2, SEED + n) for n in range(ROUNDS)] or [Plan(1_500, 1, SEED)]


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of its own, as durable as PostgreSQL comes."""
    server = EmbeddedServer(tmp_path)
    yield server
    server.stop()


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"round {plan.seed}")
@pytest.mark.timeout(0 if ROUNDS else 120)
async def test_whatever_is_killed_each_job_is_done_once(
    plan: Plan,
    tmp_path: Path,
    postgres: EmbeddedServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = postgres.start()
    await migrate_up(url)
    settings = {
        "DATABASE_URL": url,
        "WINDLASS_JWT_SECRET": "only for this test, and as long as it must be",
        "WINDLASS_HANDLERS": "tests.support.journal",
        "WINDLASS_LEASE_TTL": "1s",
        "WINDLASS_WORKER_CONCURRENCY": "20",
        PATH: str(tmp_path / "journal"),
    }
    async with open_store(url) as store:
        chaos = Round(plan, store, postgres, tmp_path)
        with fleet(WORKERS, settings, tmp_path) as workers:
            await chaos.run(workers)
            await workers.stop()
        journal = read_journal(tmp_path / "journal")
        tally = await check_each_done_once(store, chaos.accepted, journal, is_durable=True)
    if ROUNDS:
        with capsys.disabled():
            print(chaos.summary(workers, tally))


class Round:
    """Jobs come in, are worked on, and things are killed until all have finished."""

    def __init__(self, plan: Plan, store: Store, postgres: EmbeddedServer, folder: Path) -> None:
        self.plan = plan
        self.store = store
        self.postgres = postgres
        self.folder = folder
        self.random = Random(plan.seed)  # noqa: S311 - a seed makes the choices again
        self.accepted: list[UUID] = []
        self.database_kills = 0

    async def run(self, workers: Fleet) -> None:
        actor = await self.store.a_user()
        deeds = [
            asyncio.create_task(self._submit_all(actor)),
            asyncio.create_task(self._kill_workers(workers)),
            asyncio.create_task(self._kill_databases()),
        ]
        submitting, killing, _ = deeds
        try:
            await submitting
            await self._until_finished(self.plan.jobs)
        finally:
            killing.cancel()
            _, *others = await asyncio.gather(*deeds, return_exceptions=True)
        for end in others:
            if isinstance(end, Exception):
                raise end
        workers.replace_the_dead()
        await eventually(self._is_nothing_leased)

    async def _submit_all(self, actor: Actor) -> None:
        """Under keys, so that whoever got no answer may ask again."""
        numbers = range(self.plan.jobs)
        for first in numbers[::SUBMITTED_AT_ONCE]:
            jobs = [self._a_job(n) for n in numbers[first : first + SUBMITTED_AT_ONCE]]
            while True:
                with suppress(UnavailableError):
                    answers = await self.store.submissions.submit(actor, jobs)
                    break
                await asyncio.sleep(0.1)
            self.accepted += [each.id for each in answers]

    def _a_job(self, number: int) -> NewJob:
        payload = {"sleep_ms": self.random.randint(0, 60), "fails_first": number % 10 == 0}
        request: dict[str, Any] = {
            "type": "journaled",
            "payload": payload,
            "idempotency_key": str(number),
        }
        submission = msgspec.json.decode(msgspec.json.encode(request), type=Submission)
        return accept(submission, Handlers([journaled]), DEFAULTS, index=number)

    async def _kill_workers(self, workers: Fleet) -> None:
        while True:
            await asyncio.sleep(BETWEEN_KILLS_S)
            workers.kill_one(self.random)

    async def _kill_databases(self) -> None:
        """When a third is done, and two thirds: once all at a stroke, once by an immediate stop."""
        for kill in range(self.plan.database_kills):
            done = self.plan.jobs * (kill + 1) // (self.plan.database_kills + 1)
            await self._until_finished(done)
            self._kill_database(kill)
            await asyncio.to_thread(self.postgres.start)
            self.database_kills += 1

    def _kill_database(self, kill: int) -> None:
        running = postmaster(self.folder.resolve() / "postgres")
        assert running is not None
        if kill % 2:
            running.send_signal(signal.SIGQUIT)
        else:
            kill_postgres(self.folder)

    async def _until_finished(self, jobs: int) -> None:
        # To count so many every few milliseconds would take half a processor.
        holds = partial(self._have_finished, jobs)
        await eventually(holds, within_s=PATIENCE_S, every_s=COUNTED_EVERY_S)

    async def _have_finished(self, jobs: int) -> bool:
        return await self._number("select count(*) from finished") >= jobs

    async def _is_nothing_leased(self) -> bool:
        return await self._number("select count(*) from lease") == 0

    async def _number(self, query: str) -> int:
        try:
            async with self.store.database.hot() as connection:
                return int(await connection.fetchval(query))
        except UnavailableError:
            return -1

    def summary(self, workers: Fleet, tally: Tally) -> str:
        """For whoever reads the output of many rounds."""
        return (
            f"round {self.plan.seed}: {len(self.accepted)} jobs, each done once; {workers.kills}"
            f" workers and {self.database_kills} databases killed; {tally}"
        )
