"""Taking jobs in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from asyncpg import ForeignKeyViolationError

from internal.adapters.postgres.codes import PRIORITY_CODE, STATUSES
from internal.adapters.postgres.database import Database, Hot, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.errors import FieldError, IdempotencyConflictError, UnauthenticatedError
from internal.domain.jobs import Status
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.ports.jobs import Submitted
from internal.domain.submission import NewJob

Flow = tuple[UUID, str, str]

# About 30 MB; asking again costs one short statement.
KNOWN_FLOWS: Final = 100_000


class _KeyFreedError(Exception):
    """A job was deleted between the insert that met its key and the look-up: try again."""


class PostgresSubmissions:
    """Keeps new jobs; a lone one, or a batch without keys, in one statement and round trip."""

    def __init__(self, database: Database, wakeups: Wakeups, aging: timedelta) -> None:
        self._database = database
        self._wakeups = wakeups
        self._aging = aging
        # Flows are never deleted while their user exists, so what was seen once stays true.
        self._flows: dict[Flow, int] = {}

    async def submit(
        self, actor: Actor, jobs: Sequence[NewJob], batch_id: UUID | None = None
    ) -> list[Submitted]:
        first_of_key = _first_of_each_key(jobs)
        fresh = [job for job in jobs if first_of_key.get(job.idempotency_key, job) is job]
        async with self._database.hot() as connection:
            flows = await self._flows_of(connection, actor.user_id, fresh)
            values = self._values(actor.user_id, batch_id, fresh, flows)
            known = await _keep_all(connection, actor.user_id, fresh, values)
        self._wake(known.values())
        return [_answer(job, first_of_key, known) for job in jobs]

    async def _flows_of(
        self, connection: Hot, user_id: UUID, jobs: Sequence[NewJob]
    ) -> dict[Flow, int]:
        wanted = {(user_id, job.queue, job.route) for job in jobs}
        if len(self._flows) > KNOWN_FLOWS:
            self._flows.clear()
        found = {flow: self._flows[flow] for flow in wanted if flow in self._flows}
        while missing := wanted - found.keys():
            try:
                queues, routes = [flow[1] for flow in missing], [flow[2] for flow in missing]
                rows = await connection.fetch(statement("flow"), user_id, queues, routes)
            except ForeignKeyViolationError as error:
                raise UnauthenticatedError("this account does not exist any more") from error
            # One that another transaction has just made is not yet visible: look again.
            found |= {(user_id, row["queue"], row["route"]): row["id"] for row in rows}
        self._flows |= found
        return found

    def _values(
        self,
        user_id: UUID,
        batch_id: UUID | None,
        jobs: Sequence[NewJob],
        flows: dict[Flow, int],
    ) -> tuple[Any, ...]:
        rows = [
            (
                job.id,
                flows[user_id, job.queue, job.route],
                job.type,
                job.queue,
                job.route,
                PRIORITY_CODE[job.priority],
                job.payload,
                job.max_attempts,
                str(job.backoff.strategy),
                job.backoff.base_ms,
                job.backoff.max_ms,
                job.backoff.jitter,
                job.timeout_ms,
                msgspec.json.encode(job.tags).decode() if job.tags else None,
                job.run_at,
                job.idempotency_key,
                job.request_hash,
            )
            for job in jobs
        ]
        return (
            user_id,
            batch_id,
            self._aging,
            *(list(column) for column in zip(*rows, strict=True)),
        )

    def _wake(self, kept: Iterable[Submitted]) -> None:
        topics = {Topic.OUTBOX}
        for submitted in kept:
            topics.add(Topic.READY if submitted.status is Status.QUEUED else Topic.SCHEDULED)
        self._wakeups.send(*topics)


def _first_of_each_key(jobs: Sequence[NewJob]) -> dict[str | None, NewJob]:
    """The first job of each key in a batch; the same key again must be the same request."""
    first: dict[str | None, NewJob] = {}
    for job in jobs:
        if job.idempotency_key is None:
            continue
        earlier = first.setdefault(job.idempotency_key, job)
        if earlier.request_hash != job.request_hash:
            raise _conflict(job)
    return first


async def _keep_all(
    connection: Hot, user_id: UUID, jobs: Sequence[NewJob], values: tuple[Any, ...]
) -> dict[UUID, Submitted]:
    # One statement is a transaction already, unless a key may turn out to be taken.
    together = len(jobs) > 1 and any(job.idempotency_key for job in jobs)
    while True:
        try:
            async with connection.transaction() if together else nullcontext():
                return await _keep(connection, user_id, jobs, values)
        except _KeyFreedError:
            continue


async def _keep(
    connection: Hot, user_id: UUID, jobs: Sequence[NewJob], values: tuple[Any, ...]
) -> dict[UUID, Submitted]:
    """Insert, and look up the jobs whose key exists, by the id that was to be kept."""
    known = {row["id"]: _fresh(row) for row in await connection.fetch(statement("submit"), *values)}
    named = [job for job in jobs if job.id not in known]
    if not named:
        return known
    keys = [job.idempotency_key for job in named]
    rows = await connection.fetch(statement("existing"), user_id, keys)
    existing = {row["key"]: row for row in rows}
    if len(existing) < len(named):
        raise _KeyFreedError
    for job in named:
        row = existing[job.idempotency_key]
        if row["request_hash"] != job.request_hash:
            raise _conflict(job)
        known[job.id] = _existing(row)
    return known


def _fresh(row: Row) -> Submitted:
    return Submitted(
        id=row["id"],
        status=Status.SCHEDULED if row["later"] else Status.QUEUED,
        deduplicated=False,
        run_at=row["due"],
        created_at=row["created_at"],
    )


def _existing(row: Row) -> Submitted:
    return Submitted(
        id=row["job_id"],
        status=STATUSES[row["status"]],
        deduplicated=True,
        run_at=row["run_at"],
        created_at=row["created_at"],
    )


def _answer(
    job: NewJob, first_of_key: dict[str | None, NewJob], known: dict[UUID, Submitted]
) -> Submitted:
    first = first_of_key.get(job.idempotency_key, job)
    answer = known[first.id]
    return answer if first is job else msgspec.structs.replace(answer, deduplicated=True)


def _conflict(job: NewJob) -> IdempotencyConflictError:
    fault = FieldError("idempotency_key", "was used for a different request", job.index)
    return IdempotencyConflictError(details=(fault,))
