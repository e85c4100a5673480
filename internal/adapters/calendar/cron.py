"""The calendar: cron by cronsim, zones by zoneinfo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from internal.domain.errors import FieldError, ValidationError

FIELDS: Final = 5
HOURS: Final = 24
# What every expression may be tried with: cronsim starts from some time.
SOME_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)

_ALPHABET: Final = re.compile(r"[0-9A-Za-z*,/#\- \t]+")
# Whatever this machine's own clock shows, and a placeholder for a clock that nobody has set.
_NO_PLACES: Final = frozenset({"localtime", "Factory"})


class CronCalendar:
    """Fits the port Calendar."""

    def fault_of_cron(self, cron: str) -> str | None:
        if cron.startswith("@"):
            return "must be five fields: '@daily' is written '0 0 * * *'"
        if not _ALPHABET.fullmatch(cron) or len(cron.split()) != FIELDS:
            return "must be five fields: minute, hour, day of month, month, day of week"
        try:
            CronSim(cron, SOME_TIME)
        except CronSimError as error:
            return f"is not a cron expression: {_lower(str(error))}"
        return None

    def fault_of_timezone(self, name: str) -> str | None:
        if name in _zones():
            return None
        return "is not an IANA time zone, like Europe/Berlin or UTC"

    def slots(self, cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
        if timezone not in _zones():
            raise ValidationError.of(FieldError("timezone", f"{timezone!r} is not known here"))
        local = after.astimezone(ZoneInfo(timezone))
        for found in CronSim(_by_hours(cron), local):
            slot = found.astimezone(UTC)
            # In a repeated hour cronsim begins at its first pass, which may be over.
            if slot > after:
                after = slot
                yield slot


@cache
def _zones() -> frozenset[str]:
    """Looked for once: it takes 70 ms. A name is asked for here before it becomes a path."""
    return frozenset(available_timezones()) - _NO_PLACES


@lru_cache(maxsize=10_000)
def _by_hours(cron: str) -> str:
    """The same expression, written so that cronsim goes by the clock exactly where hours are named.

    It does so where neither minute nor hour begins with a star, as Debian's cron: `*/30 2 * * *`
    would not run in a night that has no 2 o'clock, and `0 */2 * * *` run twice in one that has two.
    """
    _, _, *days = cron.split()
    read = CronSim(cron, SOME_TIME)
    hours = "*" if len(read.hours) == HOURS else _listed(read.hours)
    return " ".join([_listed(read.minutes), hours, *days])


def _listed(values: Iterable[int]) -> str:
    return ",".join(map(str, sorted(values)))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
