"""A user's queues: what limits them, and how they stand."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from internal.domain.durations import DAY_MS
from internal.domain.errors import FieldError, ValidationError
from internal.domain.jobs import Status
from internal.domain.submission import QueueName
from internal.domain.times import Moment

MOST_RUNNING: Final = 1_000_000
MOST_STARTS: Final = 1_000_000
# Without a burst of its own a limit lets through at once what comes in this time: a gate that opens
# some milliseconds late loses nothing of the rate.
BURST_MS: Final = 100

Running = Annotated[int, Meta(ge=1, le=MOST_RUNNING)]
Starts = Annotated[int, Meta(ge=1, le=MOST_STARTS)]


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `limit` starts in `per_ms`, by a token bucket that holds `burst`.

    Any stretch of time `t` sees at most `limit * t / per_ms + burst` starts. Without a burst it is
    what comes in a tenth of a second, at least one.
    """

    limit: Starts
    per_ms: Annotated[int, Meta(ge=1, le=DAY_MS)] = 1000
    burst: Starts | None = None

    @property
    def tokens(self) -> int:
        """The burst, also where none was given."""
        return self.burst or max(1, self.limit * BURST_MS // self.per_ms)

    @property
    def per_second(self) -> float:
        """How many start in a second, in the long run."""
        return 1000 * self.limit / self.per_ms


class QueueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What limits a queue; what is left out is not limited, and `paused` stays as it is.

    `max_running` and `rate_limit` are for the whole queue. `max_running_per_key` holds for the jobs
    of each `concurrency_key`, `rate_limit_per_key` for those of each `rate_key`.
    """

    paused: bool | None = None
    max_running: Running | None = None
    rate_limit: RateLimit | None = None
    max_running_per_key: Running = 1
    rate_limit_per_key: RateLimit | None = None


class Queue(msgspec.Struct, frozen=True):
    """A queue as its owner sees it.

    `drain_seconds`: how long until what waits and runs has ended, by how long such jobs ran lately;
    None while none of them has ended, no worker serves them, or the queue is paused.
    """

    name: str
    paused: bool
    max_running: int | None
    rate_limit: RateLimit | None
    max_running_per_key: int
    rate_limit_per_key: RateLimit | None
    counts: dict[Status, int]
    oldest_queued_at: Moment | None
    drain_seconds: float | None


class QueuePage(msgspec.Struct, frozen=True):
    """Queues by name; `next_after` starts the next page, None at the end."""

    queues: list[Queue]
    next_after: str | None


def check_settings(settings: QueueSettings) -> None:
    """Refuse a bucket that takes more than a day to fill: its tokens are not kept longer.

    Raises:
        ValidationError: naming the limit.
    """
    limits = {
        "rate_limit": settings.rate_limit,
        "rate_limit_per_key": settings.rate_limit_per_key,
    }
    faults = [
        FieldError(f"{name}.burst", "takes more than a day to fill at this rate")
        for name, limit in limits.items()
        if limit is not None and limit.tokens * limit.per_ms > DAY_MS * limit.limit
    ]
    if faults:
        raise ValidationError.of(*faults)


def check_name(name: str) -> str:
    """A queue's name from a path.

    Raises:
        ValidationError: when no queue can have it.
    """
    try:
        return msgspec.convert(name, QueueName)
    except msgspec.ValidationError as error:
        raise ValidationError.of(FieldError("name", "is no name of a queue")) from error
