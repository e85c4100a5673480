"""Running the schedules that are due."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final
from uuid import UUID

import msgspec

from internal.adapters.postgres.database import Database, Hot, Row, has_ended
from internal.adapters.postgres.faults import refusal_of
from internal.adapters.postgres.flows import Flows
from internal.adapters.postgres.intake import Entry, Intake, Kept, topics_of_kept
from internal.adapters.postgres.partitions import lacks_partition, no_day
from internal.adapters.postgres.quota import Quota, admitting
from internal.adapters.postgres.schedules import shown
from internal.adapters.postgres.statements import statement
from internal.domain.errors import QuotaExceededError, WindlassError
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.ports.jobs import Submitted
from internal.domain.ports.schedules import Decide, Firing
from internal.domain.quota import RETRY_AFTER_S
from internal.domain.schedules import Overlap
from internal.domain.slots import GRACE

# Jobs in a transaction; the last schedule of it may bring some more.
MOST_JOBS: Final = 200
AT_ONCE: Final = timedelta(0)
# For those whose user has no room.
HELD: Final = timedelta(seconds=RETRY_AFTER_S)

# The rest are due already, and with those who lock them.
NEXT: Final = """
    select extract(epoch from least(
        -- not min(): planned over an empty table, that adds up over all rows
        (select next_run_at from schedule
         where next_run_at > now() and held_until is null
         order by next_run_at limit 1),
        (select held_until from schedule
         where held_until > now()
         order by held_until limit 1)) - now())
"""

_log = logging.getLogger(__name__)

# Reading calendars holds up whatever else this process does, and the rows are locked meanwhile.
DECIDING_S: Final = 0.02


class Fired(msgspec.Struct):
    """What becomes of one schedule; `entries` are the jobs of its slots."""

    schedule_id: UUID
    firing: Firing
    entries: Sequence[Entry]
    next_run_at: datetime | None
    error: str | None
    last_job: UUID | None = None
    held: timedelta | None = None

    def note(self, kept: Iterable[Kept | QuotaExceededError]) -> None:
        """Take over what became of the jobs."""
        for place, each in enumerate(kept):
            if isinstance(each, Submitted):
                self.last_job = each.id
                continue
            self.error = str(each)
            if isinstance(each, QuotaExceededError) and self.firing.patient and not self.held:
                self.next_run_at, self.held = self.firing.patient[place], HELD


class PostgresDueSchedules:
    """Fits the port DueSchedules."""

    def __init__(
        self,
        database: Database,
        wakeups: Wakeups,
        aging: timedelta,
        *,
        most_unfinished: int = 0,
        most_queues: int = 0,
    ) -> None:
        """How many unfinished jobs, and how many queues, a user may have; zero is no limit."""
        self._database = database
        self._wakeups = wakeups
        self._aging = aging
        self._quota = Quota(most_unfinished) if most_unfinished else None
        self._most_queues = most_queues

    async def fire(self, limit: int, decide: Decide) -> timedelta | None:
        async with self._database.hot() as connection:
            async with connection.transaction():
                rows = await connection.fetch(statement("due_schedules"), limit, GRACE)
                fired = _decided(rows, decide, await _busy(connection, rows))
                topics = await self._keep(connection, fired)
                if fired:
                    await connection.execute(statement("fired_schedules"), *_columns(fired))
            self._wakeups.send(*topics)
            if len(rows) == limit or len(fired) < len(rows) or _some_left(rows, fired):
                return AT_ONCE
            seconds = await connection.fetchval(NEXT)
        return None if seconds is None else timedelta(seconds=float(seconds))

    async def _keep(self, connection: Hot, fired: Sequence[Fired]) -> set[Topic]:
        """All jobs in one statement; where that fails, schedule by schedule.

        What is refused of one, by whatever fault, leaves the others alone and its next slot too.
        """
        busy = [each for each in fired if each.entries]
        if not busy:
            return set()
        try:
            return await self._keep_together(connection, busy)
        except Exception as error:
            if lacks_partition(error):
                raise no_day() from error  # the slots are for later
            if refusal_of(error, is_closed=has_ended(connection)) is not None:
                raise
            if len(busy) == 1:
                busy[0].error = _told(error, busy[0])
                return set()
        topics: set[Topic] = set()
        for each in busy:
            topics |= await self._keep(connection, [each])
        return topics

    async def _keep_together(self, connection: Hot, busy: Sequence[Fired]) -> set[Topic]:
        entries = [entry for each in busy for entry in each.entries]
        async with admitting(self._quota, connection, entries) as refused:
            admitted = [entry for entry in entries if entry.job.id not in refused]
            kept, topics = await self._insert(connection, admitted)
        rest = iter(kept)
        for each in busy:
            each.note([refused.get(entry.job.id) or next(rest) for entry in each.entries])
        return topics

    async def _insert(
        self, connection: Hot, entries: Sequence[Entry]
    ) -> tuple[Sequence[Kept], set[Topic]]:
        if not entries:
            return [], set()
        # Not looked up before: a number made here is not there if this is rolled back.
        flows = Flows(self._most_queues)
        return await flows.again(lambda: self._insert_once(connection, flows, entries))

    async def _insert_once(
        self, connection: Hot, flows: Flows, entries: Sequence[Entry]
    ) -> tuple[Sequence[Kept], set[Topic]]:
        wanted = {entry.flow for entry in entries}
        async with connection.transaction():
            numbers = await flows.numbers(connection, wanted)
            if len(numbers) < len(wanted):
                raise flows.too_many()
            intake = Intake(connection, numbers, aging=self._aging)
            kept = await intake.keep(entries)
        return kept, topics_of_kept(kept, intake.topics)


async def _busy(connection: Hot, rows: Sequence[Row]) -> set[UUID]:
    """Last jobs that have not ended, of those that skip overlaps.

    By a statement of its own, now that the schedules are locked: it sees the job of a process that
    ran one of them just before.
    """
    skipping = [row for row in rows if row["overlap"] == Overlap.SKIP and row["last_job_id"]]
    if not skipping:
        return set()
    users = [row["user_id"] for row in skipping]
    jobs = [row["last_job_id"] for row in skipping]
    return {row["job_id"] for row in await connection.fetch(statement("unended"), users, jobs)}


def _decided(rows: Sequence[Row], decide: Decide, busy: set[UUID]) -> list[Fired]:
    """As many as a transaction may have jobs, and as are soon told; the others stay as they are."""
    fired: list[Fired] = []
    jobs, began = 0, monotonic()
    for row in rows:
        if jobs >= MOST_JOBS or (fired and monotonic() - began > DECIDING_S):
            break
        firing = decide(shown(row), row["now"], is_busy=row["last_job_id"] in busy)
        user_id = row["user_id"]
        entries = [Entry(job, (user_id, job.queue, job.route)) for job in firing.jobs]
        fired.append(Fired(row["id"], firing, entries, firing.next_run_at, firing.error))
        jobs += len(entries)
    return fired


def _columns(fired: Sequence[Fired]) -> tuple[list[Any], ...]:
    rows = [
        (each.schedule_id, each.next_run_at, each.last_job, each.error, each.held) for each in fired
    ]
    return tuple(map(list, zip(*rows, strict=True)))


def _some_left(rows: Sequence[Row], fired: Sequence[Fired]) -> bool:
    following = (each.next_run_at for each in fired if not each.held)
    return any(each is not None and each <= rows[0]["now"] for each in following)


def _told(error: Exception, fired: Fired) -> str:
    """What its owner reads; of what is no refusal the log tells, but never what is in a job."""
    if isinstance(error, WindlassError):
        return str(error)
    named = {"schedule_id": str(fired.schedule_id), "error": type(error).__name__}
    _log.error("the jobs of a schedule cannot be kept", extra=named)
    return "the store could not keep its jobs: the operator's log tells more"
