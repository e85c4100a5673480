"""The small numbers that stand for words in narrow rows, and rows as domain values."""

from __future__ import annotations

from typing import Final

from internal.adapters.postgres.database import Row
from internal.domain.jobs import Outcome, Priority, Status
from internal.domain.retry import Backoff, Strategy

STATUSES: Final = tuple(Status)
PRIORITIES: Final = tuple(Priority)
OUTCOMES: Final = tuple(Outcome)

STATUS_CODE: Final = {status: code for code, status in enumerate(STATUSES)}
PRIORITY_CODE: Final = {priority: code for code, priority in enumerate(PRIORITIES)}
OUTCOME_CODE: Final = {outcome: code for code, outcome in enumerate(OUTCOMES)}


def backoff_of(row: Row) -> Backoff:
    """The retry delays of a job row."""
    return Backoff(
        Strategy(row["backoff_strategy"]),
        row["backoff_base_ms"],
        row["backoff_max_ms"],
        row["backoff_jitter"],
    )


def share_of(progress: float | None) -> float | None:
    """A progress as it was reported: a `real` holds some seven digits of it."""
    return None if progress is None else round(progress, 6)
