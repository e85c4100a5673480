"""Places that follow the work: what outlives its attempt holds them until it has ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# An attempt that is on record as ended while its work goes on, in a thread that cannot be stopped
# or a task that does not end. It counts against the limits of its lane, and its job does not start
# again. since: when the attempt was claimed.
TABLE = """
create table hold (
  job_id uuid not null,
  token bigint not null,
  user_id uuid not null,
  flow_id int not null,
  lane_id int,
  worker_id text not null,
  since timestamptz not null,
  primary key (job_id, token)
);
create index hold_in_lane on hold (flow_id, lane_id) where lane_id is not null;
"""

# How each function changes: what it says before and after.
RUNNING = (
    """
         count(*),
         count(*) filter (
           where since > (select at from bucket where queue_id = gate.id and key = '')),
""",
    """
         count(*) + (select count(*) from hold
                     where flow_id = any(flows) and lane_id is not null),
         count(*) filter (
           where since > (select at from bucket where queue_id = gate.id and key = '')),
""",
)
THROUGH = ("sum(q.jobs + r.jobs) over", "sum(q.jobs + r.jobs + h.jobs) over")
HELD = (
    """
    window by_rate as (partition by s.rate_key)
""",
    """
    cross join lateral (
      select count(*) as jobs
      from hold
      where flow_id = s.flow_id and lane_id = s.id and s.has_key
    ) h
    window by_rate as (partition by s.rate_key)
""",
)
EMPTY = (
    """
     and not exists (select from scheduled where lane_id = l.id)
""",
    """
     and not exists (select from hold where flow_id = l.flow_id and lane_id = l.id)
     and not exists (select from scheduled where lane_id = l.id)
""",
)
REGATED = (
    """
    with loose as materialized (
""",
    """
    update hold set lane_id = lane where flow_id = closed and lane_id is null;
    with loose as materialized (
""",
)
# A job whose last attempt still goes on is due, and starts when that has ended.
GOES = (
    """
                when m.run_at > clock_timestamp() then 1
""",
    """
                when m.run_at > clock_timestamp()
                  or (select true from hold where job_id = m.job_id limit 1) then 1
""",
)
# What is sent back behind the gate gives its tokens back: it has not started.
REFUND = (
    """
  select array(select distinct lane_id from gone)
""",
    """
  ,
  refunds as (
    select l.queue_id, k.key, count(*) as jobs
    from gone
    join lane l on l.id = gone.lane_id
    cross join lateral (select '' as key union select l.rate_key) k
    group by l.queue_id, k.key
  ),
  refunded as (
    update bucket
    set tokens = tokens + r.jobs,
        unstarted = greatest(0, unstarted - r.jobs)
    from refunds r
    where bucket.queue_id = r.queue_id and bucket.key = r.key
  )
  select array(select distinct lane_id from gone)
""",
)
UNUSED = (
    """
           or exists (select from ready where flow_id = f.id)
""",
    """
           or exists (select from ready where flow_id = f.id)
           or exists (select from hold where flow_id = f.id)
""",
)
PRUNED = (
    """
    and (select true from scheduled where lane_id = l.id limit 1) is null
""",
    """
    and (select true from hold where flow_id = l.flow_id and lane_id = l.id limit 1) is null
    and (select true from scheduled where lane_id = l.id limit 1) is null
""",
)
CHANGES = (
    ("through_gate(queue, int[])", (RUNNING,)),
    ("lane_rooms(queue, int[], timestamptz)", (THROUGH, HELD)),
    ("is_empty(lane)", (EMPTY,)),
    ("regate(int, int)", (REGATED,)),
    ("move_children(uuid, uuid[], uuid[], interval)", (GOES,)),
    ("send_back(int[])", (REFUND,)),
    ("is_unused(int)", (UNUSED,)),
    ("prune_lanes(interval, int)", (PRUNED,)),
)


def upgrade() -> None:
    _execute(TABLE)
    for function, parts in CHANGES:
        _change(function, parts)


def downgrade() -> None:
    for function, parts in CHANGES:
        _change(function, [(after, before) for before, after in parts])
    _execute("drop table hold")


def _change(function: str, parts: Iterable[tuple[str, str]]) -> None:
    """Make a function anew with parts of its text changed, also after other changes."""
    connection = op.get_bind()
    query = f"select pg_get_functiondef('{function}'::regprocedure)"
    text = connection.exec_driver_sql(query).scalar_one()
    for before, after in parts:
        if text.count(before) != 1:
            raise RuntimeError(f"{function} is not as this migration knows it")
        text = text.replace(before, after)
    connection.exec_driver_sql(text)


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
