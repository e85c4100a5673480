"""Where a job stands in line, and what its limits are."""

from __future__ import annotations

from uuid import UUID

from internal.adapters.postgres.codes import STATUSES
from internal.adapters.postgres.database import Database, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.blame import runs_alone
from internal.domain.why import MOST_AHEAD, MOST_RUNNING, Limits, Standing


class PostgresStandings:
    """One statement, which counts no further than what is told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, actor: Actor, job_id: UUID) -> Standing | None:
        async with self._database.hot() as connection:
            values = (actor.user_id, job_id, MOST_AHEAD, MOST_RUNNING)
            row = await connection.fetchrow(statement("why"), *values)
        return None if row is None else _standing(row)


def _standing(row: Row) -> Standing:
    return Standing(
        status=STATUSES[row["status"]],
        now=row["now"],
        run_at=row["run_at"],
        queue=row["queue"],
        type=row["type"],
        paused=row["paused"],
        runs_alone=runs_alone(row["route"]),
        is_held=row["is_held"],
        served=row["slots"] > 0,
        ahead=row["ahead"],
        ahead_of_key=row["ahead_of_key"],
        cost_s=row["cost"],
        slots=row["slots"],
        free=row["free_slots"],
        at_once=row["at_once"],
        running=tuple(row["running"] or ()),
        running_of_key=tuple(row["running_of_key"] or ()),
        waits_for=tuple(row["waits_for"] or ()),
        limits=None if row["lane_id"] is None else _limits(row),
    )


def _limits(row: Row) -> Limits:
    return Limits(
        concurrency_key=row["concurrency_key"],
        rate_key=row["rate_key"],
        max_running=row["max_running"],
        free=row["free"],
        tokens=row["tokens"],
        tokens_per_s=row["tokens_per_s"],
        max_running_per_key=row["max_running_per_key"],
        key_free=row["key_free"],
        key_tokens=row["key_tokens"],
        key_tokens_per_s=row["key_tokens_per_s"],
    )
