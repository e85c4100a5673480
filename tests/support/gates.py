"""Gates as the tables have them, to be held against what limits promise."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import msgspec

from tests.support.store import Store

QUEUES: Final = """
    select id, user_id, name, paused, max_running, max_running_per_key,
           rate_burst, key_rate_limit is not null as has_key_rate, key_rate_burst,
           opens_at, now() as now,
           (select bool_or(regating) from flow where queue_id = queue.id) as is_regating
    from queue
"""
JOBS: Final = """
    select f.queue_id, w.place, w.job_id, w.lane_id, w.rank, l.id is not null as has_lane,
           l.head, l.open, l.opens_at,
           coalesce(l.concurrency_key, j.concurrency_key, '') as concurrency_key,
           coalesce(l.rate_key, j.rate_key, '') as rate_key,
           f.route in (select unnest(routes) from worker where expires_at > now()) as served
    from (
      select 'gated' as place, job_id, flow_id, lane_id, rank from gated
      union all
      select 'ready', job_id, flow_id, lane_id, rank from ready
      union all
      select 'lease', job_id, flow_id, lane_id, null from lease
      union all
      select 'hold', job_id, flow_id, lane_id, null from hold
    ) w
    join flow f on f.id = w.flow_id
    left join job j on j.id = w.job_id -- work may outlive its job
    left join lane l on l.id = w.lane_id and l.flow_id = w.flow_id
"""
OLD_LANES: Final = """
    update lane set used_at = now() - interval '2 hours'
    where id in (select id from lane order by id for update skip locked)
"""
YOUNGER: Final = """
    select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and xact_start < $1
"""


class Gate(msgspec.Struct):
    """A queue: its limits, what waits at its gate and what went through."""

    queue: dict[str, Any]
    jobs: list[dict[str, Any]]

    @property
    def queue_id(self) -> int:
        found: int = self.queue["id"]
        return found

    @property
    def is_limited(self) -> bool:
        """Whether each job has to pass the gate."""
        return self.queue["max_running"] is not None or self.queue["rate_burst"] is not None

    def through(self) -> list[dict[str, Any]]:
        """Jobs that count against the limits."""
        return [
            job
            for job in self.jobs
            if job["place"] in {"lease", "hold"}
            or (job["place"] == "ready" and job["lane_id"] is not None)
        ]

    def by_key(self) -> Counter[str]:
        found = Counter(job["concurrency_key"] for job in self.through())
        del found[""]
        return found

    def check(self, before: Gate | None) -> None:
        """No more went through than may; those that were through before a limit came may stay."""
        for job in self.jobs:
            assert job["has_lane"] == (job["lane_id"] is not None), f"no such lane: {job}"
        if self.is_limited and not self.queue["is_regating"]:
            loose = [job for job in self.jobs if job["lane_id"] is None]
            assert loose == [], f"past the gate of {self.queue}: {loose}"
        self._check_running(before)
        self._check_keys(before)

    def _check_running(self, before: Gate | None) -> None:
        was = before or self
        if self.queue["max_running"] is None or was.queue["max_running"] is None:
            return
        most = max(self.queue["max_running"], was.queue["max_running"], len(was.through()))
        assert len(self.through()) <= most, f"{len(self.through())} went through: {self.queue}"

    def _check_keys(self, before: Gate | None) -> None:
        was = before.by_key() if before else Counter[str]()
        limits = [each.queue["max_running_per_key"] for each in (self, before or self)]
        for key, jobs in self.by_key().items():
            most = max(*limits, was[key])
            assert jobs <= most, f"{jobs} of the key {key!r} went through: {self.queue}"

    def might_go_through(self) -> list[dict[str, Any]]:
        """Jobs that wait although nothing holds them up."""
        if self.queue["paused"]:
            return []
        assert not self.queue["is_regating"], f"closed for ever: {self.queue}"
        limit = self.queue["max_running"]
        if limit is not None and len(self.through()) >= limit:
            return []
        burst = self.queue["rate_burst"]
        in_line = [job for job in self.jobs if job["place"] == "ready" and job["has_lane"]]
        if burst is not None and len(in_line) >= burst:
            return []
        starting = Counter(job["rate_key"] for job in in_line)
        return [
            job for job in self.jobs if job["place"] == "gated" and self._is_free(job, starting)
        ]

    def before_their_heads(self) -> list[dict[str, Any]]:
        """Jobs that wait before the place where their lane is said to begin."""
        gated = [job for job in self.jobs if job["place"] == "gated"]
        return [job for job in gated if job["head"] is None or job["head"] > job["rank"]]

    def _is_free(self, job: dict[str, Any], starting: Counter[str]) -> bool:
        key, rate_key = job["concurrency_key"], job["rate_key"]
        if not job["served"]:
            return False
        if key and self.by_key()[key] >= self.queue["max_running_per_key"]:
            return False
        is_rated = rate_key and self.queue["has_key_rate"]
        return not is_rated or starting[rate_key] < self.queue["key_rate_burst"]


async def look(store: Store) -> list[Gate]:
    """All gates at one moment."""
    async with (
        store.database.hot() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        queues = [dict(row) for row in await connection.fetch(QUEUES)]
        jobs = [dict(row) for row in await connection.fetch(JOBS)]
    return [Gate(each, [job for job in jobs if job["queue_id"] == each["id"]]) for each in queues]


async def let_through(store: Store) -> None:
    """Everything that may go through its gate now does so."""
    while (await store.upkeep.admit(1000))[0]:
        pass


async def age_lanes(store: Store) -> None:
    """Two hours pass for every lane.

    Whoever saw one young is done before it may be pruned, as all are whose transactions last less
    than the hour that it takes.
    """
    async with store.database.hot() as connection:
        await connection.execute(OLD_LANES)
        aged = await connection.fetchval("select clock_timestamp()")
        while await connection.fetchval(YOUNGER, aged):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.001)
