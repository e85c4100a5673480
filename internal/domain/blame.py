"""Which job is to blame for the end of its process, and where a suspect runs.

A lost attempt counts for a job that held up its process, as the watchdog saw, and for one that ran
alone in its process. All others are lost uncounted. So that this ends, each loss adds to the
suspicion against the job, and a job with enough of it runs in a process of its own from then on.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# What the routes begin with that only isolated workers serve.
ALONE_PREFIX: Final = "alone:"
ALONE_FROM: Final = 4


class Suspicion(IntEnum):
    """How much the end of a process says against each job that it was running."""

    NONE = 0
    # Its lease ran out: it may have been cut off, or its machine was.
    UNEXPLAINED = 1
    # It was seen to end, or was told to by a signal that the supervisor did not send.
    KNOWN_END = 2


def is_to_run_alone(suspicion: int) -> bool:
    """Whether a job has seen so many processes end that it gets one of its own."""
    return suspicion >= ALONE_FROM


def runs_alone(route: str) -> bool:
    """Whether only isolated workers serve a route."""
    return route.startswith(ALONE_PREFIX)


def alone(route: str) -> str:
    """The route of the jobs of this one that run alone."""
    return route if runs_alone(route) else ALONE_PREFIX + route
