"""The arithmetic of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness: 1 when all are equal, 1/n when one has everything.

    R. Jain, D. Chiu, W. Hawe: A quantitative measure of fairness and discrimination for resource
    allocation in shared computer systems. DEC-TR-301, 1984.
    """
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def windows(slots: Mapping[int, int], width: int, count: int) -> list[int]:
    """Sums over every stretch of `width` neighbouring slots among the first `count`."""
    return [
        sum(slots.get(slot, 0) for slot in range(start, start + width))
        for start in range(count - width + 1)
    ]
