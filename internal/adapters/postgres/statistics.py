"""One user's numbers, from counters."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

from internal.adapters.postgres.database import Database, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.jobs import Status
from internal.domain.stats import MINUTES, Minute, Stats, wait_percentile

MINUTE: Final = timedelta(minutes=1)


class PostgresStatistics:
    """Four short statements, none of which counts jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stats(self, actor: Actor) -> Stats:
        async with self._database.hot() as connection:
            (counts,) = await connection.fetch(statement("counts"), actor.user_id)
            oldest = await connection.fetchval(statement("oldest"), actor.user_id)
            minutes = await connection.fetch(statement("minutes"), actor.user_id)
            waits = await connection.fetch(statement("waits"), actor.user_id)
        return Stats(
            by_status={status: counts[str(status)] for status in Status},
            oldest_queued_at=oldest,
            minutes=_last_hour(counts["server_time"], minutes, waits),
            server_time=counts["server_time"],
        )


def _last_hour(now: datetime, minutes: list[Row], waits: list[Row]) -> list[Minute]:
    ended = {row["at"]: row for row in minutes}
    buckets: defaultdict[datetime, dict[int, int]] = defaultdict(dict)
    for row in waits:
        buckets[row["at"]][row["bucket"]] = row["jobs"]
    newest = now.replace(second=0, microsecond=0)
    return [
        Minute(
            at=at,
            succeeded=ended[at]["succeeded"] if at in ended else 0,
            failed=ended[at]["failed"] if at in ended else 0,
            wait_p50_ms=wait_percentile(buckets[at], 0.5),
            wait_p95_ms=wait_percentile(buckets[at], 0.95),
        )
        for at in (newest - MINUTE * back for back in reversed(range(MINUTES)))
    ]
