"""Duties that keep the tables in order; any process may do them at any time."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Final

from asyncpg import LockNotAvailableError, TransactionRollbackError

from internal.adapters.postgres.blame import lost_with_its_worker, tell_lost
from internal.adapters.postgres.database import Database, Hot
from internal.adapters.postgres.ends import record_ends, topics_of
from internal.adapters.postgres.statements import statement
from internal.domain.ports.feed import Topic, Wakeups

# Each day's partitions are locked by every hot statement, about 5 microseconds a day.
PARTITION_DAYS_AHEAD: Final = 3
PRUNED_AT_ONCE: Final = 1000
# A minute's: more than 150 a second.
BATCHES_PRUNED_AT_ONCE: Final = 10_000
# Of a day of which fewer jobs are over, they are deleted one by one: half a second's work.
PRUNED_SINGLY: Final = 10_000
# Ten million jobs take about half a minute.
RETIRE_TIMEOUT_S: Final = 600.0
# Any constant will do, as long as nothing else on this database takes the same advisory lock.
FOLD_LOCK: Final = 0x57494E44_464F4C44

SETTLED_WAKES: Final = {
    "queued": Topic.READY,
    "scheduled": Topic.SCHEDULED,
    "gated": Topic.GATE,
    "told": Topic.OUTBOX,
}

_log = logging.getLogger(__name__)

# How soon to look again at a gate that another process looks at.
GATE_TAKEN: Final = timedelta(milliseconds=10)

LANES_PRUNED_AT_ONCE: Final = 10_000

NEXT_EXPIRY: Final = "select extract(epoch from min(at) - now())::float8 from expiry"

# Rows that only mattered for a while; nobody misses them.
SWEEPS: Final = (
    "delete from ticket where expires_at < now()",
    "delete from login_failure where at < now() - interval '1 hour'",
    "delete from session where expires_at < now() - interval '1 day'",
    "delete from listener where expires_at < now()",
    "delete from feed where at < now() - interval '10 minutes'",
    "delete from bucket where at < now() - interval '1 day'",  # by then it is full
    f"select prune_lanes('1 hour', {LANES_PRUNED_AT_ONCE})",
    # Of users who are gone.
    """
    delete from gate_note n
    where not exists (select from queue where id = n.queue_id)
      and not exists (select from lane where id = n.lane_id)
    """,
    # Whoever let jobs through that no worker serves any more is to take them back.
    """
    insert into gate_note (queue_id)
    select distinct f.queue_id
    from lane l
    join flow f on f.id = l.flow_id
    where f.route not in (select unnest(routes) from worker where expires_at > now())
      and exists (select from ready where flow_id = f.id and lane_id = l.id)
    """,
    "delete from minute where at < now() - interval '25 hours'",
    "delete from minute_wait where at < now() - interval '25 hours'",
    "delete from operation where finished_at < now() - interval '30 days'",
    """
    delete from worker w
    where expires_at < now() - interval '1 minute' -- longer than any claim takes
      and not exists (select from lease where worker_id = w.id)
      and not exists (select from hold where worker_id = w.id)
    """,
    """
    delete from suspect s
    where not exists (select from job where id = s.job_id)
       or exists (select from finished
                  where user_id = s.user_id and status in (4, 5, 6) and job_id = s.job_id)
    """,
)


# A failure that comes again is noted again, so by then the jobs that failed with it are over; those
# of its texts that something has kept for longer stay with it.
FAILURE_SWEEP: Final = """
    delete from failure f
    where noted_at < now() - $1::interval - interval '2 days'
      and not exists (
        select from finished
        where user_id = f.user_id and status = 5 and fingerprint = f.fingerprint)
"""


class PostgresUpkeep:
    """Each duty is a few short statements."""

    def __init__(
        self,
        database: Database,
        wakeups: Wakeups,
        *,
        aging: timedelta,
        retention: timedelta,
        retention_failed: timedelta,
    ) -> None:
        self._database = database
        self._wakeups = wakeups
        self._aging = aging
        self._retention = retention
        self._retention_failed = retention_failed

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
                now = time.monotonic()
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
        query = """
            select make_partitions(today - 1, today + $1::int)
            from (select (now() at time zone 'UTC')::date as today) clock
        """
        async with self._database.hot() as connection:
            await connection.execute(query, PARTITION_DAYS_AHEAD)

    async def drop_empty_days(self) -> None:
        # New jobs have ids of today; of yesterday where a clock is behind.
        query = "select drop_empty_day((now() at time zone 'UTC')::date - 1)"
        async with self._database.hot() as connection:
            while await connection.fetchval(query):
                pass

    async def prune(self) -> None:
        async with self._database.hot() as connection:
            for sweep in SWEEPS:
                await connection.execute(sweep)
            values = (self._retention, self._retention_failed, BATCHES_PRUNED_AT_ONCE)
            await connection.execute(statement("prune_batches"), *values)
            await connection.execute(FAILURE_SWEEP, self._retention_failed)
            if not await self._retire_days(connection):
                return
            pruned = PRUNED_AT_ONCE
            while pruned == PRUNED_AT_ONCE:
                values = (self._retention, self._retention_failed, PRUNED_AT_ONCE)
                pruned = await connection.fetchval(statement("prune"), *values)

    async def _retire_days(self, connection: Hot) -> bool:
        """Forget many jobs of a day at once; False when it is left to others or to later."""
        retired: int | None = 1
        try:
            while retired:
                retired = await self._retire_day(connection)
        except (LockNotAvailableError, TransactionRollbackError) as error:
            _log.info("a day is in use: it is retired later", extra={"error": str(error)})
            return False
        return retired is not None

    async def _retire_day(self, connection: Hot) -> int | None:
        query = """
            select retire_day(
              ((now() - least($1::interval, $2::interval)) at time zone 'UTC')::date, $1, $2, $3)
        """
        values = (self._retention, self._retention_failed, PRUNED_SINGLY)
        async with connection.transaction():
            await connection.execute(f"set local statement_timeout = '{RETIRE_TIMEOUT_S}s'")
            retired: int | None = await connection.fetchval(
                query, *values, timeout=RETIRE_TIMEOUT_S
            )
        if retired:
            _log.info("forgot the finished jobs of a day", extra={"jobs": retired})
        return retired
