"""Whose fault the end of a process is, and running suspects by themselves."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# end_known: its process was seen to end, so that what it ran has ended as well. blamed: the jobs
# that held it up. suspected: of those lost with it, the one that began last. alone: it runs one job
# at a time, of those that are suspected.
# suspect: how much ends of processes say against a job (internal/domain/blame.py).
TABLES = """
alter table worker
  add column end_known boolean not null default false,
  add column blamed uuid[] not null default '{}',
  add column suspected uuid[] not null default '{}',
  add column alone boolean not null default false;

create table suspect (
  job_id uuid primary key,
  user_id uuid not null,
  suspicion int not null
);

create index flow_alone on flow (route) where route like 'alone:%';
"""

# As in 0006; a worker may be an isolated one.
REGISTER = """
drop function register_worker;
create function register_worker(
  worker_id text, slots int, served text[], ttl interval, is_alone boolean
) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('windlass.served', 0));
  insert into worker (id, slots, routes, alone, expires_at)
  values (worker_id, slots, served, is_alone, now() + ttl);
  insert into gate_note (queue_id)
  select distinct l.queue_id
  from lane l
  join flow f on f.id = l.flow_id
  where l.open
    and l.head is not null
    and f.route = any(served);
end
$$;
"""

REGISTER_BEFORE = """
drop function register_worker;
create function register_worker(worker_id text, slots int, served text[], ttl interval)
returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('windlass.served', 0));
  insert into worker (id, slots, routes, expires_at)
  values (worker_id, slots, served, now() + ttl);
  insert into gate_note (queue_id)
  select distinct l.queue_id
  from lane l
  join flow f on f.id = l.flow_id
  where l.open
    and l.head is not null
    and f.route = any(served);
end
$$;
"""

# The flow of the same user and queue with another route, made on first use.
FLOW_BESIDE = """
create function flow_beside(which int, wanted text) returns int language plpgsql as $$
declare
  found_id int;
begin
  for attempt in 1..10 loop
    select b.id into found_id
    from flow a
    join flow b on b.user_id = a.user_id and b.queue = a.queue and b.route = wanted
    where a.id = which;
    if found_id is not null then
      update flow set retired = false where id = found_id and retired;
      return found_id;
    end if;
    -- The lock keeps settings from changing before the flow is there to have them, as in flow.sql.
    perform from queue where id = (select queue_id from flow where id = which) for no key update;
    insert into flow (user_id, queue, route, queue_id, paused, limited)
    select f.user_id, f.queue, wanted, q.id, q.paused, q.limited
    from flow f
    join queue q on q.id = f.queue_id
    where f.id = which
    on conflict on constraint flow_name do nothing;
  end loop;
  raise exception 'flow % has no queue', which;
end
$$;
"""

BACK = """
drop function flow_beside;
drop index flow_alone;
drop table suspect;
alter table worker
  drop column end_known, drop column blamed, drop column suspected, drop column alone;
"""


def upgrade() -> None:
    for part in (TABLES, REGISTER, FLOW_BESIDE):
        _execute(part)


def downgrade() -> None:
    _execute(REGISTER_BEFORE)
    _execute(BACK)


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
