-- The transactions that write to the outbox, or are about to, by their virtual ids.
-- Each locks it before it takes the snapshot with which it looks for listeners, and holds the lock
-- until it has ended: whoever is not named here, after a listener was committed, knows of it.
-- Neither dumps nor vacuums hold this mode.
select virtualtransaction
from pg_locks
where locktype = 'relation'
  and database = (select oid from pg_database where datname = current_database())
  and relation = 'outbox'::regclass
  and mode = 'RowExclusiveLock'
  and granted
