"""The real store as a state machine drives it: from outside its loop, emptied in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from uuid import UUID

from internal.adapters.postgres.codes import OUTCOMES, STATUSES
from tests.support.machine.model import Place
from tests.support.store import Store, open_store

T = TypeVar("T")

# Some jobs have ids of that many days ago, for the pruner.
OLD_DAYS: Final = 9

SEEN: Final = """
    select j.id, j.user_id, s.status, s.max_attempts, s.attempts, s.number, s.progress,
           s.cancel_requested_at is not null as cancel_requested, l.worker_id, l.token,
           ceil(extract(epoch from w.run_at - now()) / 3600)::int as hours,
           array(select status from attempt where job_id = j.id order by number) as history
    from job j
    join job_state s on s.job_id = j.id
    left join lease l on l.job_id = j.id
    left join scheduled w on w.job_id = j.id
"""
EMPTIED: Final = (
    "blocked", "scheduled", "gated", "ready", "lease", "finished", "attempt", "attempt_log", "job",
    "idempotency", "worker", "replay", "past_payload", "failure", "expiry", "lane", "gate_note",
    "hold", "suspect", "counter_delta", "counter", "minute", "minute_wait", "outbox", "feed",
    "listener", "operation_item", "account",
)  # fmt: skip
EMPTY: Final = ";".join(f"delete from {table}" for table in EMPTIED)  # noqa: S608 - our own names


class World:
    """A store, and how often each rule was tried on it."""

    def __init__(self, runner: asyncio.Runner, store: Store) -> None:
        self._runner = runner
        self.store = store
        self.steps: Counter[str] = Counter()

    def run(self, deed: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(deed)

    def execute(self, query: str, *values: Any) -> None:
        self.run(self.store.execute(query, *values))

    def seen(self) -> dict[UUID, Place]:
        """Every job as the tables have it."""
        return {row["id"]: _place(row) for row in self._fetch(SEEN)}

    def named_by_keys(self) -> set[UUID]:
        """The jobs that idempotency keys name."""
        return {row["job_id"] for row in self._fetch("select job_id from idempotency")}

    def clear(self) -> None:
        self.execute(EMPTY)

    def _fetch(self, query: str) -> list[dict[str, Any]]:
        async def fetch() -> list[dict[str, Any]]:
            async with self.store.database.hot() as connection:
                return [dict(row) for row in await connection.fetch(query)]

        return self.run(fetch())


def _place(row: dict[str, Any]) -> Place:
    return Place(
        user_id=row["user_id"],
        status=STATUSES[row["status"]],
        max_attempts=row["max_attempts"],
        attempts=row["attempts"],
        number=row["number"],
        hours=None if row["hours"] is None else max(0, row["hours"]),
        worker=row["worker_id"],
        token=row["token"],
        progress=row["progress"],
        cancel_requested=row["cancel_requested"],
        history=tuple(OUTCOMES[each] for each in row["history"]),
    )


@contextmanager
def open_world(url: str) -> Iterator[World]:
    """The loop is its own, as a state machine runs in none."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        opening = open_store(url)
        world = World(runner, runner.run(opening.__aenter__()))
        try:
            days = f"current_date - {OLD_DAYS + 1}, current_date"
            world.execute(f"select make_partitions({days})")
            yield world
        finally:
            runner.run(opening.__aexit__(None, None, None))
