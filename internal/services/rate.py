"""How many requests a user may make."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec

from internal.services.allowance import Allowance

# So many seconds' requests may come at once.
BURST_S: Final = 2


class Standing(msgspec.Struct, frozen=True):
    """How a user stands after a request: what is left of `limit`, and when all of it is back.

    `retry_after_s` is None for a request that is within the limit.
    """

    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int | None


class RequestRate:
    """A token bucket for each user who made a request lately, in this process."""

    def __init__(self, per_s: int, *, now: Callable[[], float] = monotonic) -> None:
        self.per_s = per_s
        self._limit = per_s * BURST_S
        self._now = now
        self._buckets: dict[UUID, Allowance] = {}
        self._swept = now()

    def __len__(self) -> int:
        """Of how many users it knows."""
        return len(self._buckets)

    def take(self, user_id: UUID) -> Standing:
        """Count a request; one beyond the limit takes nothing from those that follow."""
        now = self._now()
        if now - self._swept >= BURST_S:
            self._forget_idle(now)
        bucket = self._buckets.get(user_id)
        if bucket is None:
            bucket = self._buckets[user_id] = Allowance(self.per_s, self._limit)
        allowed = bucket.allows(1, now)
        left = bucket.left(now)
        return Standing(
            limit=self._limit,
            remaining=int(left),
            reset_s=math.ceil((self._limit - left) / self.per_s),
            retry_after_s=None if allowed else max(1, math.ceil((1 - left) / self.per_s)),
        )

    def _forget_idle(self, now: float) -> None:
        """A full bucket says no more than none: what is kept are the users of a few seconds."""
        self._buckets = {
            user_id: bucket
            for user_id, bucket in self._buckets.items()
            if bucket.left(now) < self._limit
        }
        self._swept = now
