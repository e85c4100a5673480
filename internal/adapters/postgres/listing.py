"""Lists of one user's jobs, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Select,
    Table,
    and_,
    any_,
    exists,
    false,
    literal,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from internal.adapters.postgres import schema
from internal.adapters.postgres.codes import (
    PRIORITIES,
    PRIORITY_CODE,
    STATUS_CODE,
    STATUSES,
    share_of,
)
from internal.adapters.postgres.database import Database, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.failures import UNKNOWN, read
from internal.domain.jobs import FINISHED, JobSummary, Status, on_failure
from internal.domain.listing import JobFilter, JobPage, Page

TABLES = {
    Status.BLOCKED: (schema.blocked,),
    Status.SCHEDULED: (schema.scheduled,),
    Status.QUEUED: (schema.ready, schema.gated),
    Status.RUNNING: (schema.lease,),
}
FINISHED_TABLES = (schema.finished,)


class PostgresListing:
    """Two statements a page: which jobs, then what to show of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, actor: Actor, where: JobFilter, page: Page) -> JobPage:
        async with self._database.begin() as connection:
            ids = list((await connection.execute(page_ids(actor.user_id, where, page))).scalars())
        shown = ids[: page.limit]
        found = await self.summaries([actor.user_id], shown)
        more = len(ids) > page.limit
        return JobPage(found.get(actor.user_id, []), shown[-1] if more else None)

    async def summaries(
        self, owners: Sequence[UUID], job_ids: Sequence[UUID]
    ) -> dict[UUID, list[JobSummary]]:
        if not job_ids:
            return {}
        async with self._database.hot() as connection:
            rows = await connection.fetch(statement("summaries"), list(owners), list(job_ids))
        found: dict[UUID, list[JobSummary]] = {}
        for row in rows:
            found.setdefault(row["user_id"], []).append(_summary(row))
        return found


def page_ids(user_id: UUID, where: JobFilter, page: Page) -> Select[Any]:
    """The ids of a page and one more, the newest first.

    Without a status the walk goes down the user's jobs. With statuses it goes down each status'
    own table, as each of them is sorted by job: a rare status is found at once among many jobs.
    """
    statuses = _statuses(where)
    if statuses is None:
        jobs = schema.job
        within = _within_batches(user_id, where, jobs.c.id)
        query = select(jobs.c.id).where(jobs.c.user_id == user_id, *_job_conditions(where), *within)
        if page.before is not None:
            query = query.where(jobs.c.id < page.before)
        return query.order_by(jobs.c.id.desc()).limit(page.limit + 1)
    if not statuses:  # such as unfinished ones, and when they finished
        return select(schema.job.c.id).where(false())
    parts = [
        _ids_with_status(user_id, status, place, where, page)
        for status in statuses
        for place in TABLES.get(status, FINISHED_TABLES)
    ]
    merged = union_all(*(select(part.subquery().c.id) for part in parts)).subquery()
    return select(merged.c.id).order_by(merged.c.id.desc()).limit(page.limit + 1)


def matching(user_id: UUID, where: JobFilter) -> Select[tuple[UUID, int, bool]]:
    """The ids of all jobs that a filter means, each with the code of the status that it is in.

    And whether others wait for it, where it has finished.
    """
    statuses = _statuses(where)
    parts = [
        _with_status(user_id, status, place, where).add_columns(_awaited(place))
        for status in (tuple(Status) if statuses is None else statuses)
        for place in TABLES.get(status, FINISHED_TABLES)
    ]
    if not parts:
        nothing = (literal(0).label("status"), false().label("awaited"))
        return select(schema.job.c.id, *nothing).where(false())
    merged = union_all(*parts).subquery()
    return select(merged.c.id, merged.c.status, merged.c.awaited)


def _awaited(place: Table) -> ColumnElement[bool]:
    return (schema.finished.c.awaited if place is schema.finished else false()).label("awaited")


def _statuses(where: JobFilter) -> tuple[Status, ...] | None:
    possible = frozenset(Status)
    if where.finished_after is not None or where.finished_before is not None:
        possible = FINISHED
    if where.fingerprint:
        possible = frozenset({Status.FAILED})
    if not where.status and possible == frozenset(Status):
        return None
    return tuple(
        each for each in dict.fromkeys(where.status or sorted(possible)) if each in possible
    )


def _ids_with_status(
    user_id: UUID, status: Status, place: Table, where: JobFilter, page: Page
) -> Select[tuple[UUID, int]]:
    query = _with_status(user_id, status, place, where)
    if page.before is not None:
        query = query.where(place.c.job_id < page.before)
    return query.order_by(place.c.job_id.desc()).limit(page.limit + 1)


def _with_status(
    user_id: UUID, status: Status, place: Table, where: JobFilter
) -> Select[tuple[UUID, int]]:
    jobs = schema.job
    code = literal_column(str(STATUS_CODE[status]), Integer)
    query = select(place.c.job_id.label("id"), code.label("status"))
    query = query.where(place.c.user_id == user_id)
    if conditions := _job_conditions(where):
        # a value: for a join the planner may read all jobs
        fits = select(true()).where(
            jobs.c.id == place.c.job_id, jobs.c.user_id == user_id, *conditions
        )
        query = query.where(fits.limit(1).scalar_subquery())
    query = query.where(*_within_batches(user_id, where, place.c.job_id))
    if status in FINISHED:
        query = query.where(place.c.status == STATUS_CODE[status])
    if where.fingerprint:
        query = query.where(_in_groups(where.fingerprint))
    if where.finished_after is not None:
        query = query.where(place.c.since >= where.finished_after)
    if where.finished_before is not None:
        query = query.where(place.c.since < where.finished_before)
    return query


def _in_groups(fingerprints: Sequence[str]) -> ColumnElement[bool]:
    column, numbers = schema.finished.c.fingerprint, [read(each) for each in fingerprints]
    among = column.in_(numbers)
    return or_(among, column.is_(None)) if UNKNOWN in numbers else among


def _job_conditions(where: JobFilter) -> list[ColumnElement[bool]]:
    jobs = schema.job.c
    conditions: list[ColumnElement[bool]] = []
    if where.queue:
        conditions.append(jobs.queue.in_(where.queue))
    if where.type:
        conditions.append(jobs.type.in_(where.type))
    if where.priority:
        conditions.append(jobs.priority.in_([PRIORITY_CODE[each] for each in where.priority]))
    if where.tag:
        conditions.append(or_(*(literal(tag) == any_(jobs.tags) for tag in where.tag)))
    if where.worker:
        conditions.append(_ran_on(where.worker))
    if where.batch:
        conditions.append(jobs.batch_id.in_(where.batch))
    if where.created_after is not None:
        conditions.append(jobs.created_at >= where.created_after)
    if where.created_before is not None:
        conditions.append(jobs.created_at < where.created_before)
    return conditions


def _within_batches(
    user_id: UUID, where: JobFilter, job_id: Column[Any]
) -> list[ColumnElement[bool]]:
    """Where a batch's jobs can be: all others are passed over by the index, however many."""
    if not where.batch:
        return []
    batch = schema.batch.c
    own = (batch.user_id == user_id, batch.id.in_(where.batch))
    first = select(batch.first_job).where(*own).order_by(batch.first_job).limit(1)
    last = select(batch.last_job).where(*own).order_by(batch.last_job.desc()).limit(1)
    return [job_id >= first.scalar_subquery(), job_id <= last.scalar_subquery()]


def _ran_on(workers: Sequence[str]) -> ColumnElement[bool]:
    job_id = schema.job.c.id
    ran, runs = schema.attempt.c, schema.lease.c
    return or_(
        exists().where(and_(ran.job_id == job_id, ran.worker_id.in_(workers))),
        # The walk down running jobs is over the same table: only the job is meant from outside.
        exists()
        .where(and_(runs.job_id == job_id, runs.worker_id.in_(workers)))
        .correlate(schema.job),
    )


def _summary(row: Row) -> JobSummary:
    return JobSummary(
        id=row["id"],
        type=row["type"],
        queue=row["queue"],
        priority=PRIORITIES[row["priority"]],
        status=STATUSES[row["status"]],
        attempts=row["attempts"],
        max_attempts=row["max_attempts"],
        run_at=row["run_at"],
        timeout_ms=row["timeout_ms"],
        idempotency_key=row["idempotency_key"],
        tags=tuple(row["tags"]),
        concurrency_key=row["concurrency_key"],
        rate_key=row["rate_key"],
        expires_at=row["expires_at"],
        name=row["name"],
        on_dependency_failure=on_failure(runs_anyway=row["runs_anyway"]),
        payload_preview=row["payload_preview"],
        error_preview=row["error_preview"],
        progress=share_of(row["progress"]),
        progress_note=row["progress_note"],
        cancel_requested_at=row["cancel_requested_at"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
