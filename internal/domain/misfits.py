"""Payloads that the release of a worker cannot read: another release may."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from internal.domain.jobs import Settlement, Status

# What the error of such an attempt begins with.
MISFIT: Final = "the payload does not fit the type's input: "
# A deployment of two releases side by side takes no longer than this.
TRIED_FOR: Final = timedelta(minutes=5)
# Where another release is there, half of the first tries meet it. In all these are fewer tries than
# are kept of a job (RELEASED_KEPT), since they are what tells of the first one.
OFTEN: Final = 20
DELAY_AT_FIRST: Final = timedelta(seconds=1)
DELAY_LATER: Final = timedelta(seconds=10)


def settle_misfit(attempts: int, *, before: int, waited: timedelta) -> Settlement:
    """Where a job goes whose payload a worker could not read.

    Args:
        attempts: counted attempts before this one.
        before: how many workers in a row could not read it before this one.
        waited: how long ago the first of them tried.
    """
    if waited >= TRIED_FOR:
        return Settlement(Status.FAILED, attempts + 1)
    delay = DELAY_AT_FIRST if before < OFTEN else DELAY_LATER
    return Settlement(Status.SCHEDULED, attempts, delay)
