"""What the database says about the jobs that Windlass ran."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from benchmarks import sql
from benchmarks.errors import BenchError

POLL_S: Final = 0.02
PATIENCE_S: Final = 900.0
SLOT: Final = timedelta(milliseconds=500)

_EMPTIED: Final = """
select clock_timestamp() as at
where not exists (select from ready)
  and not exists (select from gated)
  and not exists (select from blocked)
  and not exists (select from lease)
  and not exists (select from scheduled)
"""
# Folded counters are a few rows; to ask the tables themselves, through all the rows that have just
# left them, takes a third of a core. The drivers of the others count in their handlers until then.
_NEARLY: Final = "select from counter having sum(succeeded) >= $1"
# Counters lag behind by a quarter of a second, in which fewer than these run.
LAST: Final = 25_000
_RELAYED: Final = "select where not exists (select from outbox)"
# The clock starts when every worker process has started its first job, as processes start at
# different times.
_SERVED: Final = """
with first as (
  select min(started_at) as at from attempt group by worker_id
),
began as (
  select max(at) as at, count(*) as workers from first
)
select count(*) as attempts, count(distinct job_id) as jobs, began.at as began, workers,
       count(*) filter (where finished_at >= began.at) as counted, max(finished_at) as ended
from attempt, began
group by began.at, workers
"""
_BY_USER: Final = """
select user_id, floor(extract(epoch from finished_at - $1::timestamptz)
                      / extract(epoch from $2::interval))::int as slot, count(*) as jobs
from attempt
where finished_at >= $1
group by 1, 2
"""
_LAST_STARTS: Final = "select user_id, max(started_at) as at from attempt group by user_id"
_SIZES: Final = r"""
select regexp_replace(relname, '_\d{8}$', '') as name, sum(pg_total_relation_size(oid))::bigint
from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace
group by 1
having sum(pg_total_relation_size(oid)) > 1000000
order by 2 desc
"""


class Served(msgspec.Struct, frozen=True):
    """What was run so far; `counted` of the attempts ended since `began`."""

    attempts: int
    jobs: int
    workers: int
    counted: int
    began: datetime
    ended: datetime


def served(dsn: str) -> Served | None:
    """None before the first job has ended."""
    rows = sql.fetch(dsn, _SERVED)
    return msgspec.convert(dict(rows[0]), Served) if rows else None


def await_first(dsn: str, *, workers: int = 1) -> Served:
    """Wait until every worker has ended its first job."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = served(dsn)
        if found is not None and found.workers >= workers:
            return found
        time.sleep(POLL_S)
    raise BenchError("the workers did not run a single job")


def await_empty(dsn: str) -> datetime:
    """Wait until nothing is waiting or running; the database's clock at that moment."""
    rows = sql.poll(dsn, _EMPTIED, every_s=POLL_S, patience_s=PATIENCE_S)
    at: datetime = rows[0]["at"]
    return at


def await_relayed(dsn: str) -> None:
    """Wait until an API process has passed on what a fill left for the feed."""
    sql.poll(dsn, _RELAYED, every_s=POLL_S, patience_s=PATIENCE_S)


def drained(dsn: str, jobs: int, workers: int) -> float:
    """Wait for the end of a drain: jobs a second, from the first start until nothing is left.

    Raises:
        BenchError: when a job was lost or run twice, or a worker had nothing to do.
    """
    if jobs > LAST:
        sql.poll(dsn, _NEARLY, jobs - LAST, every_s=POLL_S, patience_s=PATIENCE_S)
    empty = await_empty(dsn)
    found = served(dsn)
    if found is None or (found.attempts, found.jobs) != (jobs, jobs):
        raise BenchError(f"not every one of {jobs} jobs ran exactly once: {found}")
    if found.workers < workers:
        raise BenchError(f"{found.workers} of {workers} workers had something to do")
    return found.counted / (empty - found.began).total_seconds()


def rate_between(dsn: str, start: datetime, end: datetime) -> float:
    """Jobs a second that ended in a window."""
    query = "select count(*) from attempt where finished_at >= $1 and finished_at < $2"
    return float(sql.fetch(dsn, query, start, end)[0][0] / (end - start).total_seconds())


def ended_by_slot(dsn: str, start: datetime) -> dict[UUID, dict[int, int]]:
    """Jobs that ended, by user and by slots of half a second from `start` on."""
    found: dict[UUID, dict[int, int]] = {}
    for row in sql.fetch(dsn, _BY_USER, start, SLOT):
        found.setdefault(row["user_id"], {})[row["slot"]] = row["jobs"]
    return found


def all_busy_until(dsn: str, users: int) -> datetime:
    """When the first of the users had nothing left to start."""
    rows = sql.fetch(dsn, _LAST_STARTS)
    if len(rows) < users:
        raise BenchError(f"only {len(rows)} of {users} users had a job run")
    earliest: datetime = min(row["at"] for row in rows)
    return earliest


def jobs_kept(dsn: str) -> int:
    """How many jobs were ever submitted."""
    return int(sql.fetch(dsn, "select count(*) from job")[0][0])


def sizes(dsn: str) -> dict[str, int]:
    """Bytes of each table with its indexes, the days of a partitioned one added up."""
    return {row["name"]: row["sum"] for row in sql.fetch(dsn, _SIZES)}


def set_weights(dsn: str, weights: Sequence[tuple[UUID, float]]) -> None:
    """Give users other shares than 1."""
    for user_id, weight in weights:
        sql.fetch(dsn, "update tenant set weight = $2 where user_id = $1", user_id, weight)
