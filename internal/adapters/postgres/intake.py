"""Inserting new jobs, and looking up those whose idempotency keys exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from internal.adapters.postgres.codes import PRIORITY_CODE, STATUSES
from internal.adapters.postgres.columns import if_any, once
from internal.adapters.postgres.database import Hot, Row
from internal.adapters.postgres.flows import Flow, GoneFlowsError
from internal.adapters.postgres.statements import statement
from internal.domain.errors import FieldError, IdempotencyConflictError
from internal.domain.jobs import Status
from internal.domain.ports.feed import Topic
from internal.domain.ports.jobs import Submitted
from internal.domain.submission import NewJob

# Who waits there, but for those who wait for other jobs.
PLACES: Final = {Status.QUEUED: Topic.READY, Status.SCHEDULED: Topic.SCHEDULED}

Kept = Submitted | IdempotencyConflictError


class Entry(msgspec.Struct, frozen=True):
    """A job to keep, and where it is lined up."""

    job: NewJob
    flow: Flow


class Intake:
    """Keeps jobs on one connection: in one statement, unless a key turns out to be taken."""

    def __init__(
        self,
        connection: Hot,
        flows: dict[Flow, int],
        *,
        aging: timedelta,
        batch_id: UUID | None = None,
    ) -> None:
        self._connection = connection
        self._flows = flows
        self._common = (batch_id, aging)
        self._bounds: tuple[UUID, UUID] | None = None
        # What to wake others for: somebody listens to what was kept, or some of it waits at a gate.
        self.topics: set[Topic] = set()

    async def keep(self, entries: Sequence[Entry]) -> list[Kept]:
        """What became of each: kept now, there already, or a key used for another request.

        Raises:
            GoneFlowsError: and nothing is kept, when a queue was deleted meanwhile.
        """
        now, taken = await self._insert(entries)
        if not taken:
            return [_fresh(entry.job, now) for entry in entries]
        met = [entry for entry in entries if entry.job.id in taken]
        found = await self._look_up(met)
        # A job that was deleted after the insert had met its key: the key is free now.
        if freed := [entry for entry in met if entry.job.id not in found]:
            found |= zip([entry.job.id for entry in freed], await self.keep(freed), strict=True)
        return [found.get(entry.job.id) or _fresh(entry.job, now) for entry in entries]

    async def _insert(self, entries: Sequence[Entry]) -> tuple[datetime, set[UUID]]:
        """The database's time, and the ids of the jobs that it left out."""
        users = once([entry.flow[0] for entry in entries])
        flows = once([self._flows[entry.flow] for entry in entries])
        columns = _columns([entry.job for entry in entries])
        # Ids only grow (domain/ids.py).
        self._bounds = self._bounds or (entries[0].job.id, entries[-1].job.id)
        (row,) = await self._connection.fetch(
            statement("submit"), *self._common, users, flows, *columns, *self._bounds
        )
        if row["gone"]:
            raise GoneFlowsError(row["gone"])
        self.topics |= {Topic.OUTBOX} if row["told"] else set()
        self.topics |= {Topic.GATE} if row["noted"] else set()
        return row["now"], set(row["taken"])

    async def _look_up(self, entries: Sequence[Entry]) -> dict[UUID, Kept]:
        """Those that are there, by the id that was to be kept."""
        users = [entry.flow[0] for entry in entries]
        keys = [entry.job.idempotency_key for entry in entries]
        rows = await self._connection.fetch(statement("existing"), users, keys)
        there = {(row["user_id"], row["key"]): row for row in rows}
        return {
            entry.job.id: _existing(entry.job, row)
            for entry in entries
            if (row := there.get((entry.flow[0], entry.job.idempotency_key)))
        }


def topics_of_kept(kept: Iterable[Kept], more: set[Topic]) -> set[Topic]:
    """What to wake others for when these are committed; `more` are the intake's."""
    places = {
        PLACES[each.status]
        for each in kept
        if isinstance(each, Submitted) and not each.deduplicated and each.status in PLACES
    }
    return places | more


def _columns(jobs: Sequence[NewJob]) -> tuple[list[Any], ...]:
    return (
        [job.id for job in jobs],
        once([job.type for job in jobs]),
        once([job.queue for job in jobs]),
        once([job.route for job in jobs]),
        once([PRIORITY_CODE[job.priority] for job in jobs]),
        once([job.payload for job in jobs]),
        once([job.max_attempts for job in jobs]),
        once([job.backoff.strategy for job in jobs]),
        once([job.backoff.base_ms for job in jobs]),
        once([job.backoff.max_ms for job in jobs]),
        once([job.backoff.jitter for job in jobs]),
        once([job.timeout_ms for job in jobs]),
        if_any([msgspec.json.encode(job.tags).decode() if job.tags else None for job in jobs]),
        if_any([job.run_at for job in jobs]),
        if_any([job.idempotency_key for job in jobs]),
        if_any([job.request_hash or None for job in jobs]),
        if_any([job.concurrency_key for job in jobs]),
        if_any([job.rate_key for job in jobs]),
        if_any([job.expires_at for job in jobs]),
        if_any([job.delay_ms for job in jobs]),
        if_any([job.name for job in jobs]),
        if_any([len(job.parents) or None for job in jobs]),
        if_any([job.runs_anyway or None for job in jobs]),
        if_any([job.awaited or None for job in jobs]),
        if_any([job.expires_in_ms for job in jobs]),
    )


def _fresh(job: NewJob, now: datetime) -> Submitted:
    """What the statement made of a job, by the time it went by."""
    due = now if job.run_at is None else max(job.run_at, now)
    if job.delay_ms is not None:
        due = now + timedelta(milliseconds=job.delay_ms)
    status = Status.SCHEDULED if due > now else Status.QUEUED
    return Submitted(
        id=job.id,
        status=Status.BLOCKED if job.parents else status,
        deduplicated=False,
        run_at=due,
        created_at=now,
    )


def _existing(job: NewJob, row: Row) -> Kept:
    if row["request_hash"] != job.request_hash:
        fault = FieldError("idempotency_key", "was used for a different request", job.index)
        return IdempotencyConflictError(details=(fault,))
    return Submitted(
        id=row["job_id"],
        status=STATUSES[row["status"]],
        deduplicated=True,
        run_at=row["run_at"],
        created_at=row["created_at"],
    )
