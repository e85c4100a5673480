"""Retrying, canceling or deleting many jobs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from internal.domain.errors import FieldError, InvalidStateError, ValidationError
from internal.domain.jobs import FINISHED, WAITING, Status
from internal.domain.listing import JobFilter, check_filter
from internal.domain.times import Moment

MOST_NAMED: Final = 10_000
MOST_MATCHED: Final = 1_000_000
MOST_RUNNING: Final = 10
MOST_PER_SECOND: Final = 10_000
# Jobs of a step: so many at once are hardly cheaper by the dozen, and hold no lock for long.
MOST_AT_ONCE: Final = 500
STEPS_PER_SECOND: Final = 4
NOT_FOUND: Final = "not_found"
# Unfinished jobs depend on it: it cannot be deleted.
NEEDED: Final = "needed"

JobIds = Annotated[tuple[UUID, ...], Meta(min_length=1, max_length=MOST_NAMED)]


class Action(StrEnum):
    """What is done to each of the jobs, as its owner could by hand."""

    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"


class OperationStatus(StrEnum):
    """How an operation stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


# In which statuses a job is neither refused by `retry`, `cancel` nor `check_deletable` of jobs.py.
ELIGIBLE: Final[Mapping[Action, frozenset[Status]]] = {
    Action.RETRY: frozenset({Status.FAILED, Status.CANCELED}),
    Action.CANCEL: WAITING | {Status.RUNNING},
    Action.DELETE: FINISHED,
}
# A replay must not overrun what the jobs failed with; the others put no load on it.
PER_SECOND: Final[Mapping[Action, int]] = {
    Action.RETRY: 1_000,
    Action.CANCEL: MOST_PER_SECOND,
    Action.DELETE: MOST_PER_SECOND,
}


class BulkFilter(JobFilter, frozen=True, forbid_unknown_fields=True):
    """The conditions of a list; one at least."""


class BulkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to do, to jobs by their ids or by a filter; a dry run only counts.

    `per_second`: how many jobs at most; without it 1,000 for a retry, else 10,000.
    """

    action: Action
    ids: JobIds | None = None
    filter: BulkFilter | None = None
    dry_run: bool = False
    per_second: Annotated[int, Meta(ge=1, le=MOST_PER_SECOND)] | None = None


class Tally(msgspec.Struct, frozen=True):
    """Of so many jobs that matched, those it can be done to; the others by the reason why not."""

    matched: int
    eligible: int
    skipped: dict[str, int]


class Operation(msgspec.Struct, frozen=True):
    """A bulk operation: `done` and all that is `skipped` come to `matched` when it has ended."""

    id: UUID
    action: Action
    status: OperationStatus
    matched: int
    eligible: int
    done: int
    skipped: dict[str, int]
    per_second: int
    created_at: Moment
    finished_at: Moment | None


def check_bulk(request: BulkRequest) -> None:
    """Refuse a request that does not say which jobs are meant, or means all of them.

    Raises:
        ValidationError: naming the field.
    """
    if (request.ids is None) == (request.filter is None):
        raise ValidationError.of(FieldError("filter", "or ids is required, and not both"))
    if request.filter is not None:
        if request.filter == BulkFilter():
            raise ValidationError.of(FieldError("filter", "must have a condition"))
        check_filter(request.filter)


def check_matched(matched: int) -> None:
    """Refuse to do more at once than can be counted in time.

    Raises:
        ValidationError: when more jobs match.
    """
    if matched > MOST_MATCHED:
        most = f"matches more than {MOST_MATCHED:,} jobs: narrow it"
        raise ValidationError.of(FieldError("filter", most))


def check_running(running: int) -> None:
    """Refuse one operation too many: what each has to do is kept until it has ended.

    Raises:
        InvalidStateError: saying what helps.
    """
    if running >= MOST_RUNNING:
        raise InvalidStateError(
            f"{running} operations of yours are running: wait until one has ended, or stop one"
        )


def tally(
    action: Action, by_status: Mapping[Status, int], *, needed: int = 0, not_found: int = 0
) -> Tally:
    """What an action comes to with so many jobs in each status, beside those that are needed.

    The reason why a job is skipped is the status that it is in, that it is needed, or not found.
    """
    fits = ELIGIBLE[action]
    skipped = {str(each): jobs for each, jobs in by_status.items() if each not in fits}
    skipped |= {why: jobs for why, jobs in ((NEEDED, needed), (NOT_FOUND, not_found)) if jobs}
    eligible = sum(jobs for each, jobs in by_status.items() if each in fits)
    return Tally(eligible + sum(skipped.values()), eligible, skipped)


def jobs_a_step(per_second: int) -> int:
    """How many jobs go together, so that they come evenly."""
    return min(MOST_AT_ONCE, -(-per_second // STEPS_PER_SECOND))
