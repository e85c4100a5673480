"""The real store on a real database, with short ways to common situations."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from internal.adapters.postgres.batches import PostgresBatches, PostgresBatchUpkeep
from internal.adapters.postgres.beats import PostgresBeats
from internal.adapters.postgres.clock import PostgresClock
from internal.adapters.postgres.commands import PostgresCommands
from internal.adapters.postgres.database import Database, open_database
from internal.adapters.postgres.failures import PostgresFailures
from internal.adapters.postgres.feed import PostgresFeed
from internal.adapters.postgres.listing import PostgresListing
from internal.adapters.postgres.operation_steps import PostgresOperationSteps
from internal.adapters.postgres.operations import PostgresOperations
from internal.adapters.postgres.queues import PostgresQueues
from internal.adapters.postgres.reads import PostgresReads
from internal.adapters.postgres.replays import PostgresReplays
from internal.adapters.postgres.schedules import PostgresSchedules
from internal.adapters.postgres.statistics import PostgresStatistics
from internal.adapters.postgres.submissions import PostgresSubmissions
from internal.adapters.postgres.sweeps import all_sweeps
from internal.adapters.postgres.upkeep import PostgresUpkeep
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.adapters.postgres.work import PostgresWork
from internal.domain.accounts import Actor
from internal.domain.failures import failure_of
from internal.domain.handlers import Handlers
from internal.domain.ids import new_id, new_worker_id
from internal.domain.jobs import Attempt, Job, Outcome, Status, settle
from internal.domain.ports.jobs import Submitted
from internal.domain.ports.work import ClaimedJob, Finish, Lease
from internal.domain.replays import Replay
from internal.domain.retry import Backoff, Strategy
from internal.domain.submission import JobDefaults, NewJob, Submission, accept

AGING = timedelta(seconds=60)
TTL = timedelta(seconds=30)
ROUTES = ("default", "pull:noop")
DEFAULTS = JobDefaults(
    max_attempts=3,
    backoff=Backoff(Strategy.EXPONENTIAL, base_ms=2_000, max_ms=60_000),
    timeout_ms=900_000,
    max_payload_bytes=262_144,
)


class Store:
    """All adapters of one process over one database."""

    def __init__(
        self, url: str, database: Database, most_unfinished: int, most_queues: int
    ) -> None:
        self.url = url
        self.database = database
        self.most_unfinished = most_unfinished
        self.most_queues = most_queues
        self.wakeups = PostgresWakeups(url)
        self.submissions = PostgresSubmissions(
            database,
            self.wakeups,
            AGING,
            PostgresClock(database, new_id),
            most_unfinished=most_unfinished,
            most_queues=most_queues,
        )
        self.reads = PostgresReads(database)
        self.listing = PostgresListing(database)
        self.batches = PostgresBatches(database)
        self.batch_upkeep = PostgresBatchUpkeep(database, self.wakeups)
        self.failures = PostgresFailures(database)
        self.replays = PostgresReplays(database)
        self.operations = PostgresOperations(database, self.wakeups)
        self.operation_steps = PostgresOperationSteps(database, self.wakeups, AGING)
        self.schedules = PostgresSchedules(database, self.wakeups)
        self.statistics = PostgresStatistics(database)
        self.commands = PostgresCommands(database, self.wakeups, AGING)
        self.queues = PostgresQueues(database, self.wakeups, most=most_queues)
        self.work = PostgresWork(database, self.wakeups, AGING)
        self.feed = PostgresFeed(database, self.wakeups)
        self.upkeep = PostgresUpkeep(database, self.wakeups, aging=AGING)
        self.sweeps = all_sweeps(
            database, retention=timedelta(days=7), retention_failed=timedelta(days=30)
        )

    async def sweep(self, *names: str) -> None:
        """Remove all that has come to its end, or only what these sweeps remove."""
        for sweep in self.sweeps:
            while (not names or sweep.name in names) and await sweep.run():
                pass

    async def end_processes(
        self,
        worker_ids: Sequence[str],
        blamed: Sequence[UUID] = (),
        suspected: Sequence[UUID] = (),
    ) -> None:
        """As a supervisor notes that it saw these workers end."""
        beats = PostgresBeats(self.url)
        try:
            await beats.end(worker_ids, blamed, suspected)
        finally:
            await beats.close()

    async def a_user(self) -> Actor:
        user_id = new_id()
        async with self.database.hot() as connection:
            await connection.execute(
                "insert into account (id, email, email_key, password_hash)"
                " values ($1, $2, $2, '-')",
                user_id,
                f"{user_id}@example.com",
            )
            await connection.execute("insert into tenant (user_id) values ($1)", user_id)
        later = datetime.now(UTC) + timedelta(hours=1)
        return Actor(user_id=user_id, session_id=uuid4(), token_expires_at=later)

    async def a_watching_user(self) -> Actor:
        """A user whose changes are told."""
        actor = await self.a_user()
        await self.feed.listen([actor.user_id], timedelta(hours=1))
        return actor

    async def a_worker(self, ttl: timedelta = TTL, routes: Sequence[str] = ROUTES) -> str:
        worker_id = new_worker_id()
        await self.work.register(worker_id, ttl, slots=100, routes=routes)
        return worker_id

    async def submit(self, actor: Actor, **fields: Any) -> Submitted:
        (submitted,) = await self.submissions.submit(actor, [a_job(**fields)])
        return submitted

    async def claim_one(self, worker_id: str) -> ClaimedJob:
        (claimed,) = await self.work.claim(worker_id, ROUTES, 1)
        return claimed

    async def job(self, actor: Actor, job_id: UUID) -> Job:
        job = await self.reads.get(actor, job_id)
        assert job is not None
        return job

    async def attempts(self, actor: Actor, job_id: UUID) -> list[Attempt]:
        """Every start of a job, the oldest first; none of what is another user's."""
        found = await self.reads.attempts(actor, job_id, limit=1_000)
        return list(reversed(found or ()))

    async def replays_of(self, actor: Actor, job_id: UUID) -> list[Replay]:
        page = await self.replays.replays(actor, job_id, limit=1_000)
        return [] if page is None else page.replays

    async def execute(self, query: str, *values: Any) -> None:
        async with self.database.hot() as connection:
            await connection.execute(query, *values)

    async def expire(self, worker_id: str) -> None:
        query = "update worker set expires_at = now() - interval '10 seconds' where id = $1"
        await self.execute(query, worker_id)


def a_job(index: int | None = None, **fields: Any) -> NewJob:
    request = msgspec.json.decode(msgspec.json.encode({"type": "noop", **fields}), type=Submission)
    return accept(request, Handlers([]), DEFAULTS, index=index)


def id_of_day(days_ago: int) -> UUID:
    """A UUID v7 as it would have been made that long ago."""
    young = new_id().int
    return UUID(int=young - (days_ago * 86_400_000 << 80))


def an_end(
    claimed: ClaimedJob, outcome: Outcome = Outcome.SUCCEEDED, *, result: str | None = None
) -> Finish:
    settlement = settle(
        outcome,
        attempts=claimed.attempts,
        max_attempts=claimed.max_attempts,
        backoff=claimed.backoff,
    )
    error = None if outcome is Outcome.SUCCEEDED else f"it {outcome}"
    failed = settlement.status is Status.FAILED
    return Finish(
        lease=Lease(claimed.id, claimed.token),
        outcome=outcome,
        settlement=settlement,
        ran_ms=5.0,
        ended=time.monotonic(),
        result=result,
        error=error,
        failure=failure_of(claimed.user_id, claimed.type, error) if failed else None,
    )


@asynccontextmanager
async def open_store(
    url: str, *, size: int = 10, most_unfinished: int = 0, most_queues: int = 0
) -> AsyncIterator[Store]:
    database = await open_database(url, name="windlass tests", size=size)
    try:
        yield Store(url, database, most_unfinished, most_queues)
    finally:
        await database.close()
