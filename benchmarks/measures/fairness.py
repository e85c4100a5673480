"""How evenly users who all have work waiting are served."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final
from uuid import UUID

from benchmarks.bench import USERS, Bench
from benchmarks.errors import BenchError
from benchmarks.figures import jain, windows
from benchmarks.measures.latency import SHORT
from benchmarks.ours import history

RUN_IN: Final = timedelta(seconds=1)
WINDOW_SLOTS: Final = timedelta(seconds=5) // history.SLOT
HEAVIER: Final = 3.0

Slots = dict[UUID, dict[int, int]]


def equal_users(bench: Bench) -> None:
    """The worst Jain's index of any five seconds, by half seconds, among a hundred users."""
    dsn = bench.fresh(users=USERS, jobs=bench.sizes.shared, requests=(SHORT,))
    slots, count = _serve(bench, dsn, USERS)
    by_user = [windows(each, WINDOW_SLOTS, count) for each in slots.values()]
    indices = [jain(served) for served in zip(*by_user, strict=True)]
    if not indices:
        raise BenchError("the users were not all busy for five seconds")
    bench.note("jain", min(indices), windows=len(indices), jobs=sum(map(max, by_user)))


def weights(bench: Bench) -> None:
    """What a user of weight 3 gets for each job of one of weight 1."""
    heavier, lighter = (user.actor.user_id for user in bench.users[:2])
    dsn = bench.fresh(users=2, jobs=bench.sizes.shared, requests=(SHORT,))
    history.set_weights(dsn, [(heavier, HEAVIER)])
    slots, count = _serve(bench, dsn, 2)
    served = [sum(windows(slots[user], count, count)) for user in (heavier, lighter)]
    bench.note("weights", served[0] / served[1], served=served)


def _serve(bench: Bench, dsn: str, users: int) -> tuple[Slots, int]:
    """What each user got, by slots, and in how many slots all were busy."""
    with bench.commands.worker(dsn):
        start = history.await_first(dsn).began + RUN_IN
        time.sleep((RUN_IN.total_seconds()) + bench.sizes.shared_s)
        # The worker's own stop is no part of it.
        busy = history.all_busy_until(dsn, users) - history.SLOT
    return history.ended_by_slot(dsn, start), (busy - start) // history.SLOT
