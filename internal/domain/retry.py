"""How long a failed job waits before it is tried again."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

MAX_DOUBLINGS: Final = 63


class Strategy(StrEnum):
    """How the delay grows with the attempts."""

    EXPONENTIAL = "exponential"
    FIXED = "fixed"


class Backoff(msgspec.Struct, frozen=True):
    """A delay rule; base and maximum in milliseconds, jitter as a share from 0 to 1."""

    strategy: Strategy
    base_ms: int
    max_ms: int
    jitter: float = 0.0

    def delay(self, attempts: int, spread: float = 0.0) -> timedelta:
        """The wait after the `attempts`-th failure, counted from 1.

        Exponential: min(max, base * 2^(attempts - 1)). Jitter takes away up to its share of that,
        by `spread` in [0, 1), so a retry is never later than the rule without jitter says.
        """
        if self.strategy is Strategy.FIXED:
            whole = self.base_ms
        else:
            whole = min(self.max_ms, self.base_ms << min(attempts - 1, MAX_DOUBLINGS))
        return timedelta(milliseconds=whole * (1 - self.jitter * spread))
