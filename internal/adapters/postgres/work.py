"""What workers do: claim, heartbeat, finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from time import monotonic
from typing import Any, Final
from uuid import UUID

from internal.adapters.postgres.columns import if_any, once
from internal.adapters.postgres.database import Database, Hot
from internal.adapters.postgres.ends import record, record_ends, topics_of, unstarted
from internal.adapters.postgres.parents import with_parents
from internal.adapters.postgres.statements import statement
from internal.domain.jobs import Outcome
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.ports.work import Beat, ClaimedJob, Finish, Lease, LoggedLine, Progress

CLAIM_TIMEOUT_S: Final = 5.0
DEPENDENCIES: Final = attrgetter("dependencies")
# Attempts that were handed back, of a job that is handed back time and again.
RELEASED_KEPT: Final = 100


class PostgresWork:
    """Fits the ports Claims, Finishes and Workers."""

    def __init__(self, database: Database, wakeups: Wakeups, aging: timedelta) -> None:
        self._database = database
        self._wakeups = wakeups
        self._aging = aging

    async def claim(
        self,
        worker_id: str,
        routes: Sequence[str],
        limit: int,
        passed_over: Sequence[UUID] = (),
    ) -> list[ClaimedJob]:
        async with self._database.hot() as connection:
            values = (worker_id, list(routes), limit, list(passed_over))
            rows = await connection.fetch(statement("claim"), *values, timeout=CLAIM_TIMEOUT_S)
            jobs = [ClaimedJob(*row[:-1]) for row in rows]
            if any(map(DEPENDENCIES, jobs)):
                jobs = await with_parents(connection, jobs)
        if rows and rows[0]["told"]:
            self._wakeups.send(Topic.OUTBOX)
        return jobs

    async def is_waiting(self, routes: Sequence[str], passed_over: Sequence[UUID] = ()) -> bool:
        async with self._database.hot() as connection:
            values = (list(routes), list(passed_over))
            return bool(await connection.fetchval(statement("waiting"), *values))

    async def finish(self, ends: Sequence[Finish]) -> set[UUID]:
        if not ends:
            return set()
        async with self._database.hot() as connection:
            now = monotonic()
            if all(_is_plain_success(end) for end in ends):
                (answer,) = await connection.fetch(statement("succeed"), *_successes(ends, now))
                topics = topics_of(answer, ("told", "freed", "noted"))
            else:
                answer = await record_ends(connection, self._aging, ends, now)
                topics = topics_of(answer)
                if answer["long"]:
                    values = (answer["long"], RELEASED_KEPT)
                    await connection.execute(statement("prune_released"), *values)
        self._wakeups.send(*topics)
        return set(answer["late"])

    async def hand_back(
        self, leases: Sequence[tuple[Lease, int]], route: str | None = None
    ) -> None:
        if not leases:
            return
        async with self._database.hot() as connection:
            rows = [
                unstarted(lease.job_id, lease.token, attempts, route) for lease, attempts in leases
            ]
            answer = await record(connection, self._aging, rows)
        self._wakeups.send(*topics_of(answer))

    async def let_go(self, leases: Sequence[Lease]) -> None:
        jobs, tokens = [each.job_id for each in leases], [each.token for each in leases]
        async with self._database.hot() as connection:
            (answer,) = await connection.fetch(statement("let_go"), jobs, tokens)
        self._wakeups.send(*topics_of(answer, ("scheduled", "freed")))

    async def progress(self, reports: Mapping[Lease, Progress]) -> None:
        async with self._database.hot() as connection:
            told = await connection.fetch(
                statement("progress"),
                [lease.job_id for lease in reports],
                [lease.token for lease in reports],
                [report.share for report in reports.values()],
                [report.note for report in reports.values()],
            )
        if told:
            self._wakeups.send(Topic.OUTBOX)

    async def log(self, lines: Mapping[Lease, Sequence[LoggedLine]]) -> set[UUID]:
        async with self._database.hot() as connection:
            values = _columns_of_lines(lines, monotonic())
            (answer,) = await connection.fetch(statement("log"), *values)
        if answer["told"]:
            self._wakeups.send(Topic.OUTBOX)
        return set(answer["jobs"])

    async def register(
        self,
        worker_id: str,
        ttl: timedelta,
        slots: int,
        routes: Sequence[str],
        *,
        is_alone: bool = False,
    ) -> None:
        async with self._database.hot() as connection:
            query = "select register_worker($1, $2, $3, $4, $5)"
            await connection.execute(query, worker_id, slots, list(routes), ttl, is_alone)
        self._wakeups.send(Topic.GATE)

    async def beat(
        self,
        worker_id: str,
        ttl: timedelta,
        held: Sequence[UUID] | None = None,
        *,
        running: int = 0,
        lag_ms: int = 0,
    ) -> Beat:
        async with self._database.hot() as connection:
            values = (worker_id, ttl, running, lag_ms)
            (row,) = await connection.fetch(statement("beat"), *values)
            if held is not None:
                await self._hand_back_unheld(connection, worker_id, held)
        return Beat(row["alive"], frozenset(row["canceled"]), row["waits_alone"])

    async def _hand_back_unheld(
        self, connection: Hot, worker_id: str, held: Sequence[UUID]
    ) -> None:
        async with connection.transaction():
            rows = await connection.fetch(statement("unheld"), worker_id, list(held))
            if not rows:
                return
            unknown = [unstarted(r["job_id"], r["token"], r["attempts"]) for r in rows]
            answer = await record(connection, self._aging, unknown)
        self._wakeups.send(*topics_of(answer))

    async def leave(self, worker_id: str) -> None:
        async with self._database.hot() as connection:
            # Its leases may still be rescued: the row goes when none is left.
            query = "update worker set expires_at = now() where id = $1 and expires_at > now()"
            await connection.execute(query, worker_id)


def _is_plain_success(end: Finish) -> bool:
    return end.outcome is Outcome.SUCCEEDED and end.error is None and not end.is_held


def _successes(ends: Sequence[Finish], now: float) -> tuple[list[Any], ...]:
    """The columns of `succeed.sql`: to encode a value for each job costs as much as to keep it."""
    return (
        [end.lease.job_id for end in ends],
        once([end.lease.token for end in ends]),  # of jobs at their first attempt it is the same
        [end.ran_ms for end in ends],
        [1000 * (now - end.ended) for end in ends],
        once([end.result for end in ends]),
        *_columns_of_reports([end.progress for end in ends]),
    )


def _columns_of_reports(reports: list[Progress | None]) -> tuple[list[Any], list[Any]]:
    """Shares and notes; most ends have none."""
    if not if_any(reports):
        return [], []
    shares = [each and each.share for each in reports]
    return shares, if_any([each and each.note for each in reports])


def _columns_of_lines(
    lines: Mapping[Lease, Sequence[LoggedLine]], now: float
) -> tuple[list[Any], ...]:
    each = [(lease.job_id, line) for lease, of_job in lines.items() for line in of_job]
    return (
        [lease.job_id for lease in lines],
        [lease.token for lease in lines],
        [job_id for job_id, _ in each],
        [line.number for _, line in each],
        [1000 * (now - line.logged) for _, line in each],
        [line.text for _, line in each],
    )
