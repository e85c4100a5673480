"""A job, its states, and the moves between them (docs/job-lifecycle.md draws them)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.errors import InvalidStateError
from internal.domain.retry import Backoff
from internal.domain.times import Moment


class Status(StrEnum):
    """Where a job stands. Each is a table of its own; the last three share `finished`."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Priority(StrEnum):
    """How much a job may overtake its neighbours in its own queue."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Outcome(StrEnum):
    """How an attempt stands or ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    CANCELED = "canceled"
    RELEASED = "released"


WAITING: Final = frozenset({Status.BLOCKED, Status.SCHEDULED, Status.QUEUED})
FINISHED: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})
COUNTED: Final = frozenset({Outcome.FAILED, Outcome.TIMED_OUT})


class OnDependencyFailure(StrEnum):
    """What becomes of a job when one that it waits for fails or is canceled."""

    CANCEL = "cancel"
    RUN = "run"


class Handicap(IntEnum):
    """How many aging steps a priority stands behind `high`."""

    HIGH = 0
    MEDIUM = 1
    LOW = 2

    @classmethod
    def of(cls, priority: Priority) -> Handicap:
        """The handicap of a priority."""
        return cls[priority.name]


def rank(due: datetime, priority: Priority, aging: timedelta) -> datetime:
    """A job's place in its queue: when it became due plus its handicap.

    Smaller goes first. As time passes every newcomer's rank grows, so nothing waits for ever.
    """
    return due + Handicap.of(priority) * aging


class Job(msgspec.Struct, frozen=True):
    """A job as its owner sees it; `payload` and `result` are JSON text, byte for byte."""

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
    payload: str
    result: str | None
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


class JobSummary(msgspec.Struct, frozen=True):
    """A job without its large fields, for lists and events; previews are at most 200 characters."""

    id: UUID
    type: str
    queue: str
    priority: Priority
    status: Status
    attempts: int
    max_attempts: int
    run_at: Moment
    timeout_ms: int
    idempotency_key: str | None
    tags: tuple[str, ...]
    payload_preview: str | None
    error_preview: str | None
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
    on_dependency_failure: OnDependencyFailure


class Attempt(msgspec.Struct, frozen=True):
    """One start of a job; a running one has no `finished_at`."""

    number: int
    status: Outcome
    worker: str
    error: str | None
    progress: float | None
    progress_note: str | None
    started_at: Moment
    finished_at: Moment | None


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """Where a job goes when an attempt has ended; `delay` counts from that end."""

    status: Status
    attempts: int
    delay: timedelta = timedelta(0)


def succeeded(attempts: int) -> Settlement:
    """Where a job goes whose attempt succeeded."""
    return Settlement(Status.SUCCEEDED, attempts)


def lost(attempts: int, max_attempts: int, *, cancel_requested: bool, to_blame: bool) -> Settlement:
    """Where a job goes that was lost with its process: to its queue again, at once.

    Args:
        attempts: counted attempts before this one.
        to_blame: whether the job ended its process: else the attempt does not count.
    """
    counted = attempts + to_blame
    if cancel_requested:
        return Settlement(Status.CANCELED, counted)
    return Settlement(Status.FAILED if counted >= max_attempts else Status.QUEUED, counted)


def settle(
    outcome: Outcome,
    *,
    attempts: int,
    max_attempts: int,
    backoff: Backoff,
    cancel_requested: bool = False,
    permanent: bool = False,
    retry_after: timedelta | None = None,
    jitter: float = 0.0,
) -> Settlement:
    """Decide what the end of an attempt does to its job.

    Args:
        outcome: how the attempt ended; `running` is not an end.
        attempts: counted attempts before this one.
        retry_after: overrides the backoff of a failure, or says how long a released job waits.
        jitter: a random number in [0, 1) that the backoff spreads its delay by.

    Raises:
        InvalidStateError: for an outcome that ends nothing.
    """
    if outcome is Outcome.RUNNING:
        raise InvalidStateError("a running attempt has not ended")
    if outcome is Outcome.SUCCEEDED:
        return succeeded(attempts)
    counted = attempts + (outcome in COUNTED)
    if cancel_requested or outcome is Outcome.CANCELED:
        return Settlement(Status.CANCELED, counted)
    if outcome in COUNTED and (permanent or counted >= max_attempts):
        return Settlement(Status.FAILED, counted)
    if retry_after is not None:
        return Settlement(Status.SCHEDULED, counted, retry_after)
    if outcome in {Outcome.LOST, Outcome.RELEASED}:
        return Settlement(Status.QUEUED, counted)  # `lost` is for those that count
    return Settlement(Status.SCHEDULED, counted, backoff.delay(counted, jitter))


def cancel(status: Status) -> Status:
    """What a cancel makes of a status: running stays running until its handler has heard of it.

    Raises:
        InvalidStateError: when the job has finished.
    """
    if status in FINISHED:
        raise InvalidStateError(f"the job has finished ({status}): there is nothing to cancel")
    return Status.RUNNING if status is Status.RUNNING else Status.CANCELED


def retry(status: Status, attempts: int, max_attempts: int) -> int:
    """The `max_attempts` of a job that its owner retries: at least one more attempt.

    Raises:
        InvalidStateError: unless the job failed or was canceled.
    """
    if status not in {Status.FAILED, Status.CANCELED}:
        raise InvalidStateError(
            f"only failed and canceled jobs can be retried; this one is {status}"
        )
    return max(max_attempts, attempts + 1)


def check_editable(status: Status) -> None:
    """Refuse to change the payload of a job that is using it, or has made its result of it.

    Raises:
        InvalidStateError: when the job runs or has succeeded.
    """
    if status in {Status.RUNNING, Status.SUCCEEDED}:
        raise InvalidStateError(
            f"the payload of a job that is {status} stays as it is: it can be edited while the job"
            " waits, and after it failed or was canceled"
        )


def on_failure(*, runs_anyway: bool) -> OnDependencyFailure:
    """The word for whether a job runs though one that it waited for did not succeed."""
    return OnDependencyFailure.RUN if runs_anyway else OnDependencyFailure.CANCEL


def check_deletable(status: Status, *, is_needed: bool = False) -> None:
    """Refuse to delete a job that has not finished, or whose end or result others wait for.

    Raises:
        InvalidStateError: naming what to do first.
    """
    if status not in FINISHED:
        raise InvalidStateError(f"the job is {status}: cancel it, then delete it")
    if is_needed:
        raise InvalidStateError("jobs that depend on it have not finished: cancel them first")
