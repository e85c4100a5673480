"""The reserve: slots that one user's long jobs never fill, so that another's job starts at once.

Nothing pre-empts a running handler. What keeps the pool open is that its last slots start only
jobs of users who run less than their fair share of it.
"""

from __future__ import annotations

from typing import Final

NEWCOMER: Final = 1.0


def reserved_slots(slots: int, part: float) -> int:
    """How many of a process's slots are reserved: at least one, none where there is one slot."""
    return min(slots - 1, max(1, int(slots * part)))


def fair_share(slots: int, weight: float, weights: float) -> float:
    """A user's slots by weight.

    Args:
        weights: the sum over the users who run or wait in this process, this one among them. One
            more user counts who may come at any moment: a lone user's share is half of the slots.
    """
    return slots * weight / (weights + NEWCOMER)


def may_start(*, free: int, reserve: int, running: int, share: float) -> bool:
    """Whether a user who runs so many jobs may start another."""
    return free > reserve or (free > 0 and running < share)
