"""Jobs that were submitted together, and how far they are."""

from __future__ import annotations

from uuid import UUID

import msgspec

from internal.domain.jobs import Status
from internal.domain.times import Moment


class BatchSummary(msgspec.Struct, frozen=True):
    """A batch without a look at its jobs, for lists."""

    id: UUID
    total: int
    created_at: Moment
    finished_at: Moment | None


class BatchProgress(msgspec.Struct, frozen=True):
    """`finished` of `total` jobs have ended; `counts` has those that still exist, by status.

    The total counts the jobs that the batch brought in; those whose idempotency keys existed belong
    to where they came from. Ended jobs that were deleted or are past retention stay `finished`.
    `finished_at` is when the last one was first seen to have ended. A retry by hand shows in the
    numbers and changes nothing else.
    """

    id: UUID
    total: int
    finished: int
    counts: dict[Status, int]
    created_at: Moment
    finished_at: Moment | None


class BatchPage(msgspec.Struct, frozen=True):
    """One page; `next_before` starts the next one, None at the end."""

    batches: list[BatchSummary]
    next_before: UUID | None


def finished_of(total: int, counts: dict[Status, int]) -> int:
    """How many have ended: all that are not unfinished, for only ended jobs can be forgotten."""
    unfinished = (Status.BLOCKED, Status.SCHEDULED, Status.QUEUED, Status.RUNNING)
    return total - sum(counts[each] for each in unfinished)
