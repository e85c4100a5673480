"""A user's numbers, as the dashboard's tiles and charts show them."""

from __future__ import annotations

from typing import Final

import msgspec

from internal.domain.jobs import Status
from internal.domain.times import Moment

# Waits are counted in buckets that grow by a quarter of a doubling: 19 % wide, from 1 ms on.
BUCKETS_PER_DOUBLING: Final = 4
MINUTES: Final = 60


class Minute(msgspec.Struct, frozen=True):
    """What ended within one minute; waits run from due to the handler's start."""

    at: Moment
    succeeded: int
    failed: int
    wait_p50_ms: float | None
    wait_p95_ms: float | None


class Stats(msgspec.Struct, frozen=True):
    """Counts by status, the last hour by minute (oldest first), and the database's clock."""

    by_status: dict[Status, int]
    oldest_queued_at: Moment | None
    minutes: list[Minute]
    server_time: Moment


def wait_percentile(buckets: dict[int, int], share: float) -> float | None:
    """The wait in milliseconds that `share` of the counted ones do not exceed.

    Args:
        buckets: how many waits fell into each bucket; bucket b holds waits below
            2^(b / BUCKETS_PER_DOUBLING) ms.
    """
    total = sum(buckets.values())
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= share * total:
            return round(2 ** (bucket / BUCKETS_PER_DOUBLING), 1)
    return None
