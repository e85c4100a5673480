"""When jobs start and end, as far as what was measured tells.

Each job is taken to last as long as those of its kind did lately, and those that run to keep as
many places as they have now.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Backlog(msgspec.Struct, frozen=True):
    """What a queue has to do, and what with.

    `work_s`: the slot time that is left, those that run taken to be halfway; None when nothing
    tells. `held_up`: some wait behind its gate, so that free slots are of no use to it. `slots` are
    those of the workers that serve it, `free` what nobody uses of them.
    """

    waiting: int
    running: int
    work_s: float | None
    slots: int
    free: int
    held_up: bool
    max_running: int | None
    starts_per_s: float | None


def start_after(
    ahead: int, *, places: int, cost_s: float, running: Sequence[float]
) -> float | None:
    """Seconds until the job starts that has `ahead` others before it; None without a place.

    Args:
        ahead: jobs that take a place before this one.
        places: how many run at a time.
        cost_s: how long one runs, in seconds.
        running: for how many seconds those have run that hold places, the longest first; the others
            begin about now.
    """
    if places <= 0:
        return None
    left = sorted(max(cost_s - each, 0.0) for each in running[:places])
    rounds, place = divmod(ahead, places)
    return rounds * cost_s + (left[place] if place < len(left) else cost_s)


def drain_seconds(backlog: Backlog) -> float | None:
    """How long until what waits and runs has ended, None when nothing tells."""
    jobs = backlog.waiting + backlog.running
    if jobs == 0:
        return 0.0
    at_once = _at_once(backlog)
    if backlog.work_s is None or at_once <= 0:
        return None
    # It takes no less than its last job.
    one = backlog.work_s / (backlog.waiting + backlog.running / 2)
    seconds = max(backlog.work_s / at_once, one if backlog.waiting else one / 2)
    if backlog.starts_per_s is not None:
        seconds = max(seconds, backlog.waiting / backlog.starts_per_s)
    return round(seconds, 1)


def _at_once(backlog: Backlog) -> int:
    """How many of its jobs run at a time: as many as now, or more where there is room."""
    running = min(backlog.running, backlog.slots)  # what was claimed ahead does not run yet
    if running and backlog.held_up:
        return running
    most = running + min(backlog.waiting, backlog.free)
    return most if backlog.max_running is None else min(most, backlog.max_running)
