"""Duties that keep the tables in order; any process may do them at any time."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import Final

from internal.adapters.postgres.blame import lost_with_its_worker, tell_lost
from internal.adapters.postgres.database import Database
from internal.adapters.postgres.ends import record_ends, topics_of
from internal.adapters.postgres.partitions import make_partitions
from internal.adapters.postgres.statements import statement
from internal.domain.ports.feed import Topic, Wakeups

# Any constant will do, as long as nothing else on this database takes the same advisory lock.
FOLD_LOCK: Final = 0x57494E44_464F4C44

SETTLED_WAKES: Final = {
    "queued": Topic.READY,
    "scheduled": Topic.SCHEDULED,
    "gated": Topic.GATE,
    "told": Topic.OUTBOX,
}

# How soon to look again at a gate that another process looks at.
GATE_TAKEN: Final = timedelta(milliseconds=10)

NEXT_EXPIRY: Final = "select extract(epoch from min(at) - now())::float8 from expiry"


class PostgresUpkeep:
    """Each duty is a few short statements."""

    def __init__(self, database: Database, wakeups: Wakeups, *, aging: timedelta) -> None:
        self._database = database
        self._wakeups = wakeups
        self._aging = aging

    async def stage_due(self, limit: int) -> tuple[int, timedelta | None]:
        async with self._database.hot() as connection:
            (row,) = await connection.fetch(statement("stage"), limit, self._aging)
        if row["staged"]:
            self._wakeups.send(Topic.READY)
        if row["told"]:
            self._wakeups.send(Topic.OUTBOX)
        if row["noted"]:
            self._wakeups.send(Topic.GATE)
        pause = None if row["next"] is None else timedelta(seconds=float(row["next"]))
        return row["staged"], pause

    async def admit(self, limit: int) -> tuple[bool, timedelta | None]:
        async with self._database.hot() as connection:
            (row,) = await connection.fetch("select * from admit($1)", limit)
        if row["admitted"]:
            self._wakeups.send(Topic.READY)
        # What is due already is being looked at by somebody else.
        pause_ms = row["pause_ms"]
        pause = None if pause_ms is None else max(timedelta(milliseconds=pause_ms), GATE_TAKEN)
        return row["looked"], pause

    async def expire(self, limit: int) -> tuple[int, timedelta | None]:
        async with self._database.hot() as connection:
            # Looked up before, as a rule for nothing: only to plan the statement takes 20 ms.
            seconds = await connection.fetchval(NEXT_EXPIRY)
            if seconds is None or seconds > 0:
                return 0, seconds and timedelta(seconds=seconds)
            (row,) = await connection.fetch(statement("expire"), limit)
        self._wakeups.send(*topics_of(row, ("told", "freed", "noted")))
        return row["looked"], None

    async def rescue_expired(self, limit: int) -> int:
        async with self._database.hot() as connection:
            (let_go,) = await connection.fetch(statement("ended_holds"))
            self._wakeups.send(*topics_of(let_go, ("scheduled", "freed")))
            async with connection.transaction():
                lost = await connection.fetch(statement("expired"), limit)
                if not lost:
                    return 0
                now = monotonic()
                ends = [lost_with_its_worker(row, now) for row in lost]
                answer = await record_ends(connection, self._aging, ends, now)
        self._wakeups.send(*topics_of(answer))
        for row, end in zip(lost, ends, strict=True):
            tell_lost(row, end)
        return len(ends) - len(answer["late"])

    async def settle_dependencies(self, limit: int) -> int:
        query = "select * from settle_dependencies($1, $2)"
        async with self._database.hot() as connection:
            (row,) = await connection.fetch(query, limit, self._aging)
        self._wakeups.send(*(topic for name, topic in SETTLED_WAKES.items() if row[name]))
        return int(row["settled"])

    async def fold_counters(self, limit: int) -> int:
        async with self._database.hot() as connection:
            return int(await connection.fetchval(statement("fold"), limit, FOLD_LOCK) or 0)

    async def tend_flows(self, limit: int) -> int:
        async with self._database.hot() as connection:
            return int(await connection.fetchval("select tend_flows($1)", limit))

    async def make_partitions(self) -> None:
        async with self._database.hot() as connection:
            await make_partitions(connection)

    async def drop_empty_days(self) -> None:
        # New jobs have ids of today; of yesterday where a clock is behind.
        query = "select drop_empty_day((now() at time zone 'UTC')::date - 1)"
        async with self._database.hot() as connection:
            while await connection.fetchval(query):
                pass
