"""Jobs, lists and numbers as the API shows them; each `...Answer` is an envelope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Raw

from internal.adapters.http.cursors import Cursor, Limit
from internal.domain import jobs, stats
from internal.domain.jobs import Attempt, JobSummary, OnDependencyFailure, Priority, Status
from internal.domain.listing import DEFAULT_PAGE, JobFilter
from internal.domain.retry import Backoff
from internal.domain.stats import Minute
from internal.domain.submission import MAX_BATCH, Submission
from internal.domain.times import Moment
from internal.domain.why import Why
from internal.services.jobs import JobType

T = TypeVar("T")

# Where the payload stands in a job, and the result behind it.
_RAW: Final = jobs.Job.__struct_fields__.index("payload")

JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class Job(msgspec.Struct, frozen=True):
    """A job; payload and result are the bytes that came in."""

    id: UUID
    type: str
    queue: str
    priority: Priority
    status: Status
    attempts: int
    max_attempts: int
    run_at: Moment
    backoff: Backoff
    timeout_ms: int
    idempotency_key: str | None
    tags: tuple[str, ...]
    payload: JsonObject
    result: Raw | None
    last_error: str | None
    progress: float | None
    progress_note: str | None
    cancel_requested_at: Moment | None
    version: int
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    concurrency_key: str | None
    rate_key: str | None
    expires_at: Moment | None
    name: str | None
    depends_on: tuple[UUID, ...]
    on_dependency_failure: OnDependencyFailure


class SubmittedJob(Job, frozen=True):
    """A job with whether its idempotency key named one that existed."""

    deduplicated: bool


class SubmittedAnswer(msgspec.Struct, frozen=True):
    """The job that was taken in, or the one that existed."""

    data: SubmittedJob


class JobAnswer(msgspec.Struct, frozen=True):
    """One job."""

    data: Job


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs that are taken in together or not at all."""

    jobs: Annotated[list[Submission], Meta(min_length=1, max_length=MAX_BATCH)]


class BatchedJob(msgspec.Struct, frozen=True):
    """What became of one job of a batch."""

    id: UUID
    status: Status
    deduplicated: bool


class Batch(msgspec.Struct, frozen=True):
    """A batch; its jobs are in the order of the request.

    `GET /v1/batches/{id}` tells how far it is. Jobs that were deduplicated do not count there.
    """

    batch_id: UUID
    jobs: list[BatchedJob]


class BatchAnswer(msgspec.Struct, frozen=True):
    """The batch that was taken in."""

    data: Batch


class JobsQuery(JobFilter, frozen=True, forbid_unknown_fields=True):
    """Filters of a list, several values each by comma, and which page of it."""

    limit: Limit = DEFAULT_PAGE
    cursor: Cursor = None


class JobsAnswer(msgspec.Struct, frozen=True):
    """A page of jobs, the newest submission first; `next_cursor` is null on the last one."""

    data: list[JobSummary]
    next_cursor: str | None


class AttemptsAnswer(msgspec.Struct, frozen=True):
    """A page of a job's starts, the newest first; `next_cursor` is null on the last one."""

    data: list[Attempt]
    next_cursor: str | None


class WhyAnswer(msgspec.Struct, frozen=True):
    """What holds a job up."""

    data: Why


class JobTypesAnswer(msgspec.Struct, frozen=True):
    """The installed job types."""

    data: list[JobType]
    next_cursor: str | None


class Counts(msgspec.Struct, frozen=True):
    """How many jobs there are."""

    by_status: dict[Status, int]
    total: int
    approximate: bool


class Stats(msgspec.Struct, frozen=True):
    """Counts by status, and what ended in each of the last 60 minutes, the oldest first."""

    counts: Counts
    oldest_queued_at: Moment | None
    minutes: list[Minute]
    server_time: Moment


class StatsAnswer(msgspec.Struct, frozen=True):
    """Your numbers."""

    data: Stats


def submitted_job(job: jobs.Job, *, deduplicated: bool) -> SubmittedJob:
    """A submission's answer."""
    return _shown(SubmittedJob, job, deduplicated)


def shown_job(job: jobs.Job) -> Job:
    """A job's answer."""
    return _shown(Job, job)


def shown_stats(numbers: stats.Stats) -> Stats:
    """The numbers with their total; the counters are exact."""
    total = sum(numbers.by_status.values())
    counts = Counts(by_status=numbers.by_status, total=total, approximate=False)
    return Stats(counts, numbers.oldest_queued_at, numbers.minutes, numbers.server_time)


def _shown(shape: Callable[..., T], job: jobs.Job, *more: object) -> T:
    """Field by field in their order, the same in both: by name it takes four times as long."""
    fields = msgspec.structs.astuple(job)
    raw = (Raw(job.payload), job.result and Raw(job.result))
    return shape(*fields[:_RAW], *raw, *fields[_RAW + len(raw) :], *more)
