"""What each sweep runs: a limit comes last, the answer is how many rows went."""

from __future__ import annotations

from typing import Final


def _oldest(table: str, time: str, age: str) -> str:
    """Delete the oldest rows of a table that has an index on the time."""
    return f"""
        with gone as (
          delete from {table}
          where ctid = any(array(
            select ctid from {table} where {time} < now() - interval '{age}'
            order by {time} limit $1 for update skip locked))
          returning 1
        )
        select count(*) from gone
    """  # noqa: S608 - our own names


def _any(table: str, where: str) -> str:
    """Delete rows of a table that is small enough to be read as a whole."""
    return f"""
        with gone as (
          delete from {table}
          where ctid = any(array(
            select ctid from {table} t where {where} limit $1 for update skip locked))
          returning 1
        )
        select count(*) from gone
    """  # noqa: S608 - our own names


TICKETS: Final = _oldest("ticket", "expires_at", "0")
LOGIN_FAILURES: Final = _oldest("login_failure", "at", "1 hour")
SESSIONS: Final = _oldest("session", "expires_at", "1 day")
LISTENERS: Final = _any("listener", "expires_at < now()")
MINUTES: Final = _oldest("minute", "at", "25 hours")
MINUTES_OF_WAITS: Final = _oldest("minute_wait", "at", "25 hours")
# By then it is full.
BUCKETS: Final = _any("bucket", "at < now() - interval '1 day'")
OPERATIONS: Final = _any("operation", "finished_at < now() - interval '30 days'")
OPERATION_ITEMS: Final = _any(
    "operation_item", "not exists (select from operation where id = t.operation_id)"
)
# A minute is longer than any claim takes.
WORKERS: Final = _any(
    "worker",
    "expires_at < now() - interval '1 minute'"
    " and not exists (select from lease where worker_id = t.id)"
    " and not exists (select from hold where worker_id = t.id)",
)
SUSPECTS: Final = _any(
    "suspect",
    "not exists (select from job where id = t.job_id)"
    " or exists (select from finished"
    " where user_id = t.user_id and status in (4, 5, 6) and job_id = t.job_id)",
)

# By position, which grows with the time: no index on the time is needed.
FEED: Final = """
    with gone as (
      delete from feed
      where position = any(array(
        select position
        from (select position, at from feed order by position limit $1) first
        where at < now() - interval '10 minutes'))
      returning 1
    )
    select count(*) from gone
"""

LANES: Final = "select prune_lanes('1 hour', $1)"

# Of queues and lanes that are gone. Left alone they would fill what `admit` looks at.
GATE_NOTES: Final = """
    with gone as (
      delete from gate_note
      where id = any(array(
        select id
        from gate_note n
        where not exists (select from queue where id = n.queue_id)
          and not exists (select from lane where id = n.lane_id)
        order by id
        limit $1))
      returning 1
    )
    select count(*) from gone
"""

# Jobs that were let through to stand in line and that no worker serves any more are taken back
# behind their limits by the admission: this only asks for it.
UNSERVED: Final = """
    with noted as (
      insert into gate_note (queue_id)
      select distinct f.queue_id
      from lane l
      join flow f on f.id = l.flow_id
      where f.route not in (select unnest(routes) from worker where expires_at > now())
        and exists (select from ready where flow_id = f.id and lane_id = l.id)
      limit $1
    )
    select 0
"""

# $1 is how long failed jobs are kept. A failure that comes again is noted again, so by then the
# jobs that failed with it are over; a text that a job was kept longer for stays with it.
FAILURES: Final = """
    with gone as (
      delete from failure
      where ctid = any(array(
        select ctid
        from failure f
        where noted_at < now() - $1::interval - interval '2 days'
          -- a value: as `exists` it may be hashed, of all jobs that have failed
          and (select true from finished
               where user_id = f.user_id and status = 5 and fingerprint = f.fingerprint
               limit 1) is null
        order by noted_at
        limit $2
        for update skip locked))
      returning 1
    )
    select count(*) from gone
"""

# $1 the last queue that was looked at, $2 how long one without jobs and settings is kept.
QUEUES: Final = "select last from forget_queues($1, $3, $2)"
