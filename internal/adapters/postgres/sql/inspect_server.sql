-- Settings under which a server may forget what it has acknowledged, and tables that it empties
-- after a crash.
select format('PostgreSQL runs with %s = %s: a crash may lose jobs', name, setting) as what
from pg_settings
where name in ('fsync', 'full_page_writes', 'synchronous_commit')
  and setting = 'off'
union all
select format('the table %s is unlogged: a crash empties it', relname)
from pg_class
where relkind in ('r', 'p')
  and relpersistence = 'u'
  and relnamespace = current_schema()::regnamespace
order by 1
