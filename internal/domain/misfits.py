"""Payloads that the release of a worker cannot read: another release may."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from internal.domain.jobs import Settlement, Status

# What the error of such an attempt begins with.
MISFIT: Final = "the payload does not fit the type's input: "
# A deployment of two releases side by side takes no longer than this.
TRIED_FOR: Final = timedelta(minutes=5)
FIRST_DELAY: Final = timedelta(seconds=1)
LONGEST_DELAY: Final = timedelta(seconds=10)


def settle_misfit(attempts: int, *, before: int, waited: timedelta) -> Settlement:
    """Where a job goes whose payload a worker could not read.

    Args:
        attempts: counted attempts before this one.
        before: how many workers in a row could not read it before this one.
        waited: how long ago the first of them tried.
    """
    if waited >= TRIED_FOR:
        return Settlement(Status.FAILED, attempts + 1)
    # From the seventh on it is the longest anyway.
    delay = FIRST_DELAY * 2 ** min(before, 6)
    return Settlement(Status.SCHEDULED, attempts, min(LONGEST_DELAY, delay))
