"""Recording the ends of attempts, by workers and for workers that are gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from internal.adapters.postgres.blame import set_apart, settle_misfits
from internal.adapters.postgres.codes import OUTCOME_CODE, STATUS_CODE
from internal.adapters.postgres.columns import if_any
from internal.adapters.postgres.database import Hot, Row
from internal.adapters.postgres.failures import note
from internal.adapters.postgres.statements import statement
from internal.domain.jobs import Status
from internal.domain.ports.feed import Topic
from internal.domain.ports.work import Finish

MS: Final = timedelta(milliseconds=1)
# Neither error nor result, progress, note and failure; nor does its work go on.
NOTHING_SAID: Final = (None,) * 6
NO_ROUTES: Final[Mapping[UUID, str]] = MappingProxyType({})
WAKES: Final = {
    "queued": Topic.READY,
    "scheduled": Topic.SCHEDULED,
    "told": Topic.OUTBOX,
    "freed": Topic.GATE,
    "noted": Topic.RELEASE,
}


async def record_ends(connection: Hot, aging: timedelta, ends: Sequence[Finish], now: float) -> Row:
    """As `record`, with all that decides where jobs go, and the texts of what failed for good."""
    if any(end.is_misfit or end.suspicion for end in ends):
        async with connection.transaction():
            ends = await settle_misfits(connection, ends)
            routes = await set_apart(connection, ends)
            return await _record_ends(connection, aging, ends, now, routes)
    return await _record_ends(connection, aging, ends, now)


async def _record_ends(
    connection: Hot,
    aging: timedelta,
    ends: Sequence[Finish],
    now: float,
    routes: Mapping[UUID, str] = NO_ROUTES,
) -> Row:
    if failures := {end.failure for end in ends if end.failure is not None}:
        await note(connection, failures)
    rows = [finished(end, now, routes.get(end.lease.job_id)) for end in ends]
    return await record(connection, aging, rows)


async def record(connection: Hot, aging: timedelta, rows: Sequence[tuple[Any, ...]]) -> Row:
    """Run `finish.sql` over rows as `finished` and `unstarted` make them.

    Answers with whether something is `queued`, `scheduled` and `told`, and which jobs are `late`.
    """
    columns = [if_any(list(column)) for column in zip(*rows, strict=True)]
    (answer,) = await connection.fetch(statement("finish"), aging, *columns)
    return answer


def unstarted(job_id: UUID, token: int, attempts: int, route: str | None = None) -> tuple[Any, ...]:
    """A lease to hand back whose handler never started."""
    queued = STATUS_CODE[Status.QUEUED]
    return (job_id, token, None, queued, attempts, 0.0, 0.0, 0.0, *NOTHING_SAID, route)


def finished(end: Finish, now: float, route: str | None = None) -> tuple[Any, ...]:
    """An attempt's end as a row for `finish.sql`, by what the monotonic clock reads now."""
    return (
        end.lease.job_id,
        end.lease.token,
        None if end.outcome is None else OUTCOME_CODE[end.outcome],
        STATUS_CODE[end.settlement.status],
        end.settlement.attempts,
        end.settlement.delay / MS,
        end.ran_ms,
        1000 * (now - end.ended),
        end.error,
        end.result,
        end.progress and end.progress.share,
        end.progress and end.progress.note,
        None if end.failure is None else end.failure.fingerprint,
        end.is_held or None,
        route,
    )


def topics_of(
    answer: Row, names: Iterable[str] = ("queued", "scheduled", "told", "freed", "noted")
) -> list[Topic]:
    """Whom to wake: for jobs that wait again or are waited for, what was told, freed places."""
    return [WAKES[name] for name in names if answer[name]]
