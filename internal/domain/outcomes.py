"""How handlers say what shall become of their job, besides returning a result."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from internal.domain.durations import parse_duration

LONGEST_DELAY: Final = timedelta(days=3650)
# A snooze counts as no attempt: without a floor a job could start hundreds of times a second.
SHORTEST_SNOOZE: Final = timedelta(seconds=1)


def delay_of(value: object) -> timedelta:
    """Read a delay where the handler's author gives it, not where the attempt's end is recorded.

    Raises:
        TypeError: for what is no duration.
        ValueError: for one that is negative or longer than ten years.
    """
    if isinstance(value, str):
        delay = parse_duration(value)
    elif isinstance(value, timedelta):
        delay = value
    else:
        kind = type(value).__name__
        raise TypeError(f"a duration is a text like '30s' or a timedelta, not of type {kind}")
    if not timedelta(0) <= delay <= LONGEST_DELAY:
        raise ValueError(f"a delay must be from 0s to {LONGEST_DELAY.days}d, not {delay}")
    return delay


def bounded(delay: timedelta, least: timedelta = timedelta(0)) -> timedelta:
    """The nearest delay that a job can have."""
    return min(max(delay, least), LONGEST_DELAY)


class Retry(Exception):
    """Try again: after the job's backoff, or after `after` (a duration text or timedelta)."""

    def __init__(
        self, reason: str = "retry asked for", *, after: str | timedelta | None = None
    ) -> None:
        """Raise ValueError when `after` is not from 0 to ten years."""
        super().__init__(reason)
        self.after = None if after is None else delay_of(after)


class Fail(Exception):
    """Fail for good: no further attempt would help."""


class Snooze(Exception):
    """Run again after `for_`, a second at least, without counting this attempt."""

    def __init__(self, for_: str | timedelta) -> None:
        """Raise ValueError when `for_` is not from 0 to ten years."""
        self.for_ = delay_of(for_)
        super().__init__(f"snoozed for {self.for_}")
