"""Which job is to blame for the end of its process, and where a suspect runs.

A lost attempt counts for a job that held up its process, as the watchdog saw, and for one that ran
alone in its process. All others are lost uncounted. So that this ends, each loss adds to the
suspicion against the job, and a job with enough of it runs in a process of its own from then on.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import Final
from uuid import UUID

# What the routes begin with that only isolated workers serve.
ALONE_PREFIX: Final = "alone:"
ALONE_FROM: Final = 4


class Suspicion(IntEnum):
    """How much the end of a process says against each job that it was running."""

    NONE = 0
    # The lease ran out: the process may have been cut off. Or another job is the likely reason.
    SLIGHT = 1
    # It was seen to end, or was told to by a signal that the supervisor did not send.
    KNOWN_END = 2
    # Likewise, and no handler began after the job's. Or the job held its process up.
    STRONG = 4


def suspicion_of(
    job_id: UUID, *, end_known: bool, blamed: Collection[UUID], suspected: Collection[UUID]
) -> Suspicion:
    """What the end of a process says against a job that was lost with it, not being alone there.

    Args:
        end_known: whether the process was seen to end.
        blamed: the jobs that held it up; with one, the end says nothing against the others.
        suspected: of the jobs lost with it, the one whose handler began last.
    """
    if job_id in (blamed or suspected):
        return Suspicion.STRONG
    if blamed:
        return Suspicion.NONE
    return Suspicion.KNOWN_END if end_known and not suspected else Suspicion.SLIGHT


def is_to_run_alone(suspicion: int) -> bool:
    """Whether a job has seen so many processes end that it gets one of its own."""
    return suspicion >= ALONE_FROM


def runs_alone(route: str) -> bool:
    """Whether only isolated workers serve a route."""
    return route.startswith(ALONE_PREFIX)


def alone(route: str) -> str:
    """The route of the jobs of this one that run alone."""
    return route if runs_alone(route) else ALONE_PREFIX + route
