"""Ends of attempts that are looked into before they are recorded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from msgspec.structs import replace

from internal.adapters.postgres.database import Hot, Row
from internal.adapters.postgres.statements import statement
from internal.domain.blame import Suspicion, alone, is_to_run_alone, runs_alone, suspicion_of
from internal.domain.failures import failure_of
from internal.domain.jobs import Outcome, Settlement, Status, lost
from internal.domain.misfits import MISFIT, settle_misfit
from internal.domain.ports.work import Finish, Lease

_log = logging.getLogger(__name__)


async def settle_misfits(connection: Hot, ends: Sequence[Finish]) -> Sequence[Finish]:
    """Decide where jobs go whose payloads a worker could not read; the other ends stay."""
    jobs = [end.lease.job_id for end in ends if end.is_misfit]
    if not jobs:
        return ends
    rows = await connection.fetch(statement("misfits"), jobs, MISFIT)
    before = {row["job_id"]: row for row in rows}
    return [_settled(end, before[end.lease.job_id]) if end.is_misfit else end for end in ends]


def _settled(end: Finish, before: Row) -> Finish:
    settlement = settle_misfit(
        end.settlement.attempts,
        before=before["attempts"],
        waited=timedelta(seconds=before["waited_s"] or 0),
    )
    if settlement.status is not Status.FAILED:
        return replace(end, settlement=settlement, failure=None)
    return replace(end, outcome=Outcome.FAILED, settlement=settlement)


async def set_apart(connection: Hot, ends: Sequence[Finish]) -> dict[UUID, str]:
    """Keep what these ends say against their jobs; the new routes of those that run alone now."""
    suspects = [end for end in ends if end.suspicion]
    if not suspects:
        return {}
    rows = await connection.fetch(
        statement("suspect"),
        [end.lease.job_id for end in suspects],
        [end.lease.token for end in suspects],
        [int(end.suspicion) for end in suspects],
    )
    apart = [row for row in rows if is_to_run_alone(row["suspicion"])]
    for row in apart:
        if not runs_alone(row["route"]):
            known = {"job_id": str(row["job_id"]), "user_id": str(row["user_id"])}
            _log.warning("a job runs in a process of its own from now on", extra=known)
    return {row["job_id"]: alone(row["route"]) for row in apart}


def lost_with_its_worker(row: Row, now: float) -> Finish:
    """The end of an attempt of `expired.sql`, by what the monotonic clock reads now."""
    settlement = lost(
        row["attempts"],
        row["max_attempts"],
        cancel_requested=row["cancel_requested"],
        to_blame=_is_to_blame(row),
    )
    error = f"lost: the worker {row['worker_id']} stopped answering"
    failed = settlement.status is Status.FAILED
    return Finish(
        lease=Lease(row["job_id"], row["token"]),
        outcome=Outcome.LOST,
        settlement=settlement,
        ran_ms=row["ran_ms"],
        ended=now,
        error=error,
        failure=failure_of(row["user_id"], row["type"], error) if failed else None,
        suspicion=_suspicion(row, settlement),
    )


def _is_to_blame(row: Row) -> bool:
    return row["ran_alone"] or row["job_id"] in row["blamed"]


def _suspicion(row: Row, settlement: Settlement) -> Suspicion:
    """What a loss says against a job that goes on; one that ran alone does so already."""
    if row["ran_alone"] or settlement.status is not Status.QUEUED:
        return Suspicion.NONE
    return suspicion_of(
        row["job_id"],
        end_known=row["end_known"],
        blamed=row["blamed"],
        suspected=row["suspected"],
    )


def tell_lost(row: Row, end: Finish) -> None:
    """Leave a line in the log."""
    _log.warning(
        "an attempt was lost with its worker, its job is %s",
        end.settlement.status,
        extra={
            "job_id": str(row["job_id"]),
            "type": row["type"],
            "attempt": row["number"],
            "worker": row["worker_id"],
            "user_id": str(row["user_id"]),
            "counts": _is_to_blame(row),
        },
    )
