"""The days that jobs are kept by: each has its partitions, made some days before."""

from __future__ import annotations

import logging
from typing import Final

import asyncpg

from internal.adapters.postgres.database import Hot
from internal.domain.errors import UnavailableError

# Each day's partitions are locked by every hot statement, about 5 microseconds a day.
DAYS_AHEAD: Final = 3
AGAIN_AFTER_S: Final = 2

MAKE: Final = """
    select make_partitions(today - 1, today + $1::int)
    from (select (now() at time zone 'UTC')::date as today) clock
"""
# Days in a row, from today on, that have their partition.
DAYS_MADE: Final = """
    select count(*)::int
    from (
      select to_date(right(c.relname, 8), 'YYYYMMDD') - (now() at time zone 'UTC')::date as away,
             row_number() over (order by c.relname) - 1 as place
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'job'::regclass
        and right(c.relname, 8) >= to_char(now() at time zone 'UTC', 'YYYYMMDD')
    ) days
    where away = place
"""

_log = logging.getLogger(__name__)


async def make_partitions(connection: Hot) -> None:
    """Make those of the coming days; that it fails is a warning while today has one.

    Raises:
        UnavailableError: when it fails and jobs cannot be stored today.
    """
    try:
        await connection.execute(MAKE, DAYS_AHEAD)
    except asyncpg.PostgresError as error:
        days = await days_made(connection)
        if not days:
            raise no_day() from error
        _log.warning(
            "the coming days' partitions cannot be made: no job can be stored in %d days; the "
            "role must own the tables and may create some",
            days,
            extra={"error": str(error)},
        )


async def days_made(connection: asyncpg.Connection | Hot) -> int:
    """How many days in a row can store jobs, from today on."""
    return int(await connection.fetchval(DAYS_MADE))


def no_day() -> UnavailableError:
    """The refusal of jobs whose day has no partition."""
    return UnavailableError(
        "The database has no room for jobs of this day: try again shortly",
        retry_after=AGAIN_AFTER_S,
    )


def lacks_partition(error: BaseException) -> bool:
    """Whether a row was refused because its day has no partition."""
    # A constraint of ours has a name; the text depends on the server's language.
    return isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None
