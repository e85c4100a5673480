"""What must hold after any history, read from the tables themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from internal.adapters.postgres.codes import STATUSES
from internal.domain.jobs import FINISHED, Status
from internal.domain.ports.feed import Kind
from tests.support.store import Store

Place = dict[str, Any]

PLACES = """
    select j.id, j.user_id, s.status, s.attempts, s.number, s.max_attempts, s.version, s.run_at,
           s.cancel_requested_at, s.progress, places, history, counted, lost
    from job j
    left join lateral (
      select *, count(*) over () as places from job_state where job_id = j.id
    ) s on true
    left join lateral (
      select count(*) as history, count(*) filter (where status in (2, 3)) as counted,
             count(*) filter (where status = 4) as lost
      from attempt where job_id = j.id
    ) a on true
"""
ORPHANS = """
    select 'state' as what, job_id from job_state s
    where not exists (select from job where id = s.job_id and user_id = s.user_id)
    union all
    select 'attempt', job_id from attempt a
    where not exists (select from job where id = a.job_id and user_id = a.user_id)
    union all
    select 'log', job_id from attempt_log l
    where not exists (select from job where id = l.job_id and user_id = l.user_id)
    union all
    select 'replay', job_id from replay r
    where not exists (select from job where id = r.job_id and user_id = r.user_id)
    union all
    select 'past payload', job_id from past_payload p
    where not exists (select from job where id = p.job_id and user_id = p.user_id)
    union all
    select 'key', job_id from idempotency i
    where not exists (
      select from job
      where id = i.job_id and user_id = i.user_id and idempotency_key = i.key)
    union all
    select 'job with a key', id from job j
    where idempotency_key is not null
      and not exists (select from idempotency where job_id = j.id)
"""
# An entry of any other kind says nothing of where a job stands.
MOVES = {Kind.CHANGED, Kind.PROGRESS}
TOTALS = """
    select user_id, sum(blocked) as blocked, sum(scheduled) as scheduled, sum(queued) as queued,
           sum(running) as running, sum(succeeded) as succeeded, sum(failed) as failed,
           sum(canceled) as canceled
    from (
      select user_id, blocked, scheduled, queued, running, succeeded, failed, canceled from counter
      union all
      select user_id, blocked, scheduled, queued, running, succeeded, failed, canceled
      from counter_delta
    ) noted
    group by user_id
"""


class Truth:
    """Looks at everything and compares it with the look before."""

    def __init__(self, store: Store, *, is_heard: bool = True) -> None:
        """Where nobody listens (`is_heard`), nobody needs to have been told."""
        self._store = store
        self._is_heard = is_heard
        self._before: dict[UUID, Place] = {}
        self._position = 0

    async def check(self, retried: set[UUID]) -> dict[UUID, Place]:
        """Every job by id; `retried` are those that a retry was tried on since the last check."""
        async with self._store.database.hot() as connection:
            rows = [dict(row) for row in await connection.fetch(PLACES)]
            orphans = [tuple(row) for row in await connection.fetch(ORPHANS)]
            totals = [dict(row) for row in await connection.fetch(TOTALS)]
        told = await self._told()
        now = {row["id"]: row for row in rows}
        assert len(now) == len(rows), "a job stands in two tables"
        assert orphans == []
        _check_totals(rows, totals)
        for job_id, place in now.items():
            _check_place(place)
            before = self._before.get(job_id)
            if before is None:
                assert job_id in told or not self._is_heard, f"nobody was told of {place}"
            elif before != place:
                _check_move(before, place, retried=job_id in retried)
                assert job_id in told or not self._is_heard, f"untold: {before} -> {place}"
        self._before = now
        return now

    async def look(self) -> None:
        """Take what is there as it is: a test has changed it without the store."""
        async with self._store.database.hot() as connection:
            self._before = {row["id"]: dict(row) for row in await connection.fetch(PLACES)}

    async def _told(self) -> set[UUID]:
        while await self._store.feed.relay(1000):
            pass
        told: set[UUID] = set()
        while changes := await self._store.feed.after(self._position, 1000):
            self._position = changes[-1].position
            for each in changes:
                told |= set(each.ids or ()) if each.kind in MOVES else set()
        return told


def _check_place(place: Place) -> None:
    assert place["places"] == 1, f"a job stands nowhere: {place}"
    status = STATUSES[place["status"]]
    assert place["attempts"] <= place["max_attempts"], place
    assert status in FINISHED or place["attempts"] < place["max_attempts"], place
    # Of the lost ones count those of jobs to blame.
    assert 0 <= place["attempts"] - place["counted"] <= place["lost"], place
    assert place["number"] == place["history"] + (status is Status.RUNNING), place


def _check_move(before: Place, after: Place, *, retried: bool) -> None:
    assert after["version"] > before["version"], f"{before} -> {after}"
    assert after["attempts"] >= before["attempts"], f"{before} -> {after}"
    was = STATUSES[before["status"]]
    if was in FINISHED:
        assert retried, f"a finished job moved by itself: {before} -> {after}"
        assert was is not Status.SUCCEEDED, f"{before} -> {after}"


def _check_totals(rows: list[Place], totals: list[Place]) -> None:
    true = Counter((row["user_id"], STATUSES[row["status"]]) for row in rows)
    noted = {(row["user_id"], status): row[status] for row in totals for status in Status}
    assert {key: number for key, number in noted.items() if number} == dict(true)
