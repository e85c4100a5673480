"""How many unfinished jobs one user may have."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from internal.domain.errors import QuotaExceededError

# Nobody knows when jobs will have ended: soon enough, and no hammering.
RETRY_AFTER_S: Final = 5


def beyond(room: int, keys: Sequence[Hashable | None], existing: frozenset[Hashable]) -> set[int]:
    """The places of those among new jobs for which there is no room, the first come first.

    A job whose idempotency key exists needs none, and jobs that share a key need it once.

    Args:
        keys: the idempotency key of each job.
        existing: the keys that name jobs already.
    """
    refused: set[int] = set()
    seen = set(existing)
    for place, key in enumerate(keys):
        if key is not None and key in seen:
            continue
        if room > 0:
            room -= 1
            seen.add(key)
        else:
            refused.add(place)
    return refused


def quota_exceeded(limit: int, unfinished: int) -> QuotaExceededError:
    """The refusal of a submission, in words that say what to do."""
    return QuotaExceededError(
        f"this would pass your limit of {limit:,} unfinished jobs, of which you have "
        f"{unfinished:,}: wait until some have finished, or cancel some",
        retry_after=RETRY_AFTER_S,
    )
