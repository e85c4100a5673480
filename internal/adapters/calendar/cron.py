"""The calendar: cron by cronsim, zones by zoneinfo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim

from internal.adapters.calendar.cron_text import SOME_TIME, fault_of
from internal.domain.errors import FieldError, ValidationError

HOURS: Final = 24
SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)

# Whatever this machine's own clock shows, and a placeholder for a clock that nobody has set.
_NO_PLACES: Final = frozenset({"localtime", "Factory"})


class CronCalendar:
    """Fits the port Calendar."""

    def fault_of_cron(self, cron: str) -> str | None:
        return fault_of(cron)

    def fault_of_timezone(self, name: str) -> str | None:
        if name in _zones():
            return None
        return "is not an IANA time zone, like Europe/Berlin or UTC"

    def slots(self, cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
        if timezone not in _zones():
            raise ValidationError.of(FieldError("timezone", f"{timezone!r} is not known here"))
        zone = ZoneInfo(timezone)
        plain, is_hourly = _plain(cron)
        return _passing(plain, zone, after) if is_hourly else _on_the_wall(plain, zone, after)


def _on_the_wall(cron: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """Each time that the clock should show, once: a skipped one when the clock goes on."""
    for found in CronSim(cron, after.astimezone(zone)):
        slot = found.astimezone(UTC)
        # In a repeated hour cronsim begins at its first pass, which may be over.
        if slot > after:
            after = slot
            yield slot


def _passing(cron: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """Each time that the clock shows, as often as it does.

    While a zone keeps its offset, its clock is plain arithmetic. cronsim's own reading of a zone
    jumps over a change of the clocks by half an hour.
    """
    local = after.astimezone(zone).replace(microsecond=0)
    start, offset = local.replace(tzinfo=None), _offset(local)
    while True:
        for found in CronSim(cron, start):
            slot = found.replace(tzinfo=UTC) - offset
            if _offset(slot.astimezone(zone)) != offset:
                break
            yield slot
        else:
            return
        local = _first_change(zone, start.replace(tzinfo=UTC) - offset, slot).astimezone(zone)
        # A second before, since cronsim gives what comes after.
        start, offset = local.replace(tzinfo=None) - SECOND, _offset(local)


def _first_change(zone: tzinfo, start: datetime, end: datetime) -> datetime:
    """The moment from which the zone's offset is no more what it was just after the start.

    By days first: no zone changes its clocks there and back within one.
    """
    before = _offset((start + SECOND).astimezone(zone))
    low, high = start + SECOND, min(start + SECOND + DAY, end)
    while high < end and _offset(high.astimezone(zone)) == before:
        low, high = high, min(high + DAY, end)
    while high - low > SECOND:
        middle = low + (high - low) // SECOND // 2 * SECOND
        if _offset(middle.astimezone(zone)) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


@cache
def _zones() -> frozenset[str]:
    """Looked for once: it takes 70 ms. A name is asked for here before it becomes a path."""
    return frozenset(available_timezones()) - _NO_PLACES


@lru_cache(maxsize=10_000)
def _plain(cron: str) -> tuple[str, bool]:
    """The same expression with its minutes and hours listed, and whether it runs in every hour.

    Where neither of them begins with a star, cronsim goes by the clock on the wall, as Debian's
    cron: `*/30 2 * * *` would not run in a night that has no 2 o'clock, and `0 */2 * * *` run twice
    in one that has two.
    """
    _, _, *days = cron.split()
    read = CronSim(cron, SOME_TIME)
    is_hourly = len(read.hours) == HOURS
    hours = "*" if is_hourly else _listed(read.hours)
    return " ".join([_listed(read.minutes), hours, *days]), is_hourly


def _listed(values: Iterable[int]) -> str:
    return ",".join(map(str, sorted(values)))
