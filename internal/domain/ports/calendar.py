"""Reading cron expressions and time zones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol


class Calendar(Protocol):
    """Five-field cron in a time zone; docs/schedules.md says what a change of the clocks does."""

    def fault_of_cron(self, cron: str) -> str | None:
        """What is wrong with an expression, as the end of a sentence about it."""

    def fault_of_timezone(self, name: str) -> str | None:
        """What is wrong with the name of a zone, in the same way."""

    def slots(self, cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
        """The times after this one, in UTC, each later than the one before.

        It ends where nothing matches within 50 years. A gap and a repeated hour between two zones'
        offsets give no time twice.

        Raises:
            ValidationError: when this machine does not know the zone (any more).
        """
