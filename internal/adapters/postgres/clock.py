"""This machine's clock beside the database's."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from internal.adapters.postgres.database import Database
from internal.domain.ids import IdGenerator

# Two machines may differ by less without harm: tokens live for minutes, ids follow the database.
TOLERATED: Final = timedelta(minutes=1)
# An answer that took longer tells too little about the time.
SLOW: Final = timedelta(seconds=1)
REMINDED_EVERY: Final = timedelta(minutes=10)

_log = logging.getLogger(__name__)


class PostgresClock:
    """Fits the port Clock."""

    def __init__(self, database: Database, ids: IdGenerator) -> None:
        self._database = database
        self._ids = ids
        self._off: timedelta | None = None
        self._reminded_at: float | None = None

    async def compare(self) -> None:
        async with self._database.hot() as connection:
            began, here = monotonic(), datetime.now(UTC)
            there = await connection.fetchval("select clock_timestamp()")
            took = timedelta(seconds=monotonic() - began)
        if took > SLOW and self._off is not None:
            return
        self._ids.follow(there + took / 2)
        self._report(here, there - took / 2)

    def _report(self, here: datetime, there: datetime) -> None:
        off, before = here - there, self._off or timedelta()
        self._off = off
        if abs(off) <= TOLERATED:
            if abs(before) > TOLERATED:
                _log.info("this machine's clock agrees with the database's again")
            self._reminded_at = None
            return
        if self._was_told(off - before):
            return
        self._reminded_at = monotonic()
        clocks = {"this_machine": here.isoformat(), "database": there.isoformat()}
        _log.error(
            "this machine's clock differs from the database's by more than %d s: set it right; "
            "ids follow the database's",
            TOLERATED.total_seconds(),
            extra=clocks,
        )

    def _was_told(self, change: timedelta) -> bool:
        if self._reminded_at is None or abs(change) > TOLERATED:
            return False
        return monotonic() - self._reminded_at < REMINDED_EVERY.total_seconds()
