"""Which jobs a list shows, and where its next page begins."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from internal.domain.errors import FieldError, ValidationError
from internal.domain.failures import Fingerprint
from internal.domain.jobs import Attempt, JobSummary, Priority, Status
from internal.domain.submission import (
    EARLIEST_RUN_AT,
    LATEST_RUN_AT,
    PRINTABLE,
    QueueName,
    Tag,
    TypeName,
)
from internal.domain.times import Moment

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 20
MAX_VALUES: Final = 100

WorkerName = Annotated[str, Meta(min_length=1, max_length=100, pattern=PRINTABLE)]
T = TypeVar("T")
AnyOf = Annotated[tuple[T, ...], Meta(max_length=MAX_VALUES)]


class JobFilter(msgspec.Struct, frozen=True):
    """Conditions that all must hold; within one, any of its values may. Empty means any.

    `fingerprint`: of a group of failures, so that only failed jobs are meant.
    """

    status: Annotated[AnyOf[Status], Meta(description="In one of these statuses")] = ()
    queue: Annotated[AnyOf[QueueName], Meta(description="In one of these queues")] = ()
    type: Annotated[AnyOf[TypeName], Meta(description="Of one of these types")] = ()
    priority: Annotated[AnyOf[Priority], Meta(description="Of one of these priorities")] = ()
    tag: Annotated[AnyOf[Tag], Meta(description="With one of these tags")] = ()
    worker: Annotated[AnyOf[WorkerName], Meta(description="Run by one of these workers")] = ()
    batch: Annotated[AnyOf[UUID], Meta(description="Of one of these batches")] = ()
    fingerprint: Annotated[
        AnyOf[Fingerprint], Meta(description="Failed, in one of these groups of failures")
    ] = ()
    created_after: Annotated[Moment | None, Meta(description="Submitted at this time or later")] = (
        None
    )
    created_before: Annotated[Moment | None, Meta(description="Submitted before this time")] = None
    finished_after: Annotated[Moment | None, Meta(description="Ended at this time or later")] = None
    finished_before: Annotated[Moment | None, Meta(description="Ended before this time")] = None


def check_filter(where: JobFilter) -> None:
    """Refuse times at which no job can have been: the database has no word for some of them.

    Raises:
        ValidationError: naming every one.
    """
    times = {
        "created_after": where.created_after,
        "created_before": where.created_before,
        "finished_after": where.finished_after,
        "finished_before": where.finished_before,
    }
    between = f"must be between {EARLIEST_RUN_AT:%Y} and {LATEST_RUN_AT:%Y}"
    faults = [
        FieldError(name, between)
        for name, at in times.items()
        if at is not None and not EARLIEST_RUN_AT <= at < LATEST_RUN_AT
    ]
    if faults:
        raise ValidationError.of(*faults)


class Page(msgspec.Struct, frozen=True):
    """A keyset page: at most `limit` jobs older than `before`, the newest submission first."""

    limit: int = DEFAULT_PAGE
    before: UUID | None = None


class JobPage(msgspec.Struct, frozen=True):
    """One page; `next_before` starts the next one, None at the end."""

    jobs: list[JobSummary]
    next_before: UUID | None


class AttemptPage(msgspec.Struct, frozen=True):
    """Starts of a job, the newest first; `next_before` starts the next page, None at the end."""

    attempts: list[Attempt]
    next_before: int | None
