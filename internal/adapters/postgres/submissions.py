"""Taking jobs in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Final
from uuid import UUID

from internal.adapters.postgres.contention import again
from internal.adapters.postgres.database import Database
from internal.adapters.postgres.flows import Flows
from internal.adapters.postgres.groups import Groups
from internal.adapters.postgres.intake import Entry, Intake, Kept, topics_of_kept
from internal.adapters.postgres.quota import Quota, admitting
from internal.adapters.postgres.ties import Ties
from internal.domain.accounts import Actor
from internal.domain.errors import (
    IdempotencyConflictError,
    QuotaExceededError,
    UnavailableError,
)
from internal.domain.ports.feed import Wakeups
from internal.domain.ports.jobs import Submitted
from internal.domain.submission import NewJob

MOST_IN_A_GROUP: Final = 200


class PostgresSubmissions:
    """Keeps new jobs: a batch on its own, lone jobs of whichever users in groups."""

    def __init__(
        self,
        database: Database,
        wakeups: Wakeups,
        aging: timedelta,
        *,
        most_unfinished: int = 0,
    ) -> None:
        """`most_unfinished` is how many unfinished jobs a user may have; 0 is no limit."""
        self._database = database
        self._wakeups = wakeups
        self._aging = aging
        self._quota = Quota(most_unfinished) if most_unfinished else None
        self._flows = Flows()
        self._groups = Groups(self._keep_group, most=MOST_IN_A_GROUP)

    async def submit(
        self, actor: Actor, jobs: Sequence[NewJob], batch_id: UUID | None = None
    ) -> list[Submitted]:
        entries = [Entry(job, (actor.user_id, job.queue, job.route)) for job in jobs]
        if len(entries) == 1 and batch_id is None and not jobs[0].parents:
            return [await self._groups.add(entries[0])]
        return await again(lambda: self._keep_batch(actor, entries, batch_id))

    async def _keep_batch(
        self, actor: Actor, entries: Sequence[Entry], batch_id: UUID | None
    ) -> list[Submitted]:
        # One statement is a transaction already, unless a key may turn out to be taken, or there
        # are dependencies to write down.
        several = any(entry.job.idempotency_key or entry.job.parents for entry in entries)
        async with (
            self._database.hot() as connection,
            admitting(self._quota, connection, entries) as refused,
        ):
            if refused:
                raise next(iter(refused.values()))
            flows = await self._flows.numbers(connection, {entry.flow for entry in entries})
            intake = Intake(connection, flows, aging=self._aging, batch_id=batch_id)
            ties = Ties(connection, actor, [entry.job for entry in entries])
            await ties.mark()
            async with connection.transaction() if several else nullcontext():
                kept = [_unless_refused(each) for each in await intake.keep(entries)]
                await ties.keep(kept)
        self._wakeups.send(*topics_of_kept(kept, intake.topics | ties.topics))
        return kept

    async def _keep_group(self, entries: Sequence[Entry]) -> Sequence[Kept | Exception]:
        try:
            return await again(lambda: self._keep_together(entries))
        except UnavailableError:
            raise
        except Exception:
            if len(entries) == 1:
                raise
            return [await self._keep_alone(entry) for entry in entries]

    async def _keep_alone(self, entry: Entry) -> Kept | Exception:
        try:
            (kept,) = await self._keep_together([entry])
        except Exception as error:  # noqa: BLE001 - what is wrong with one must not fail the others
            return error
        return kept

    async def _keep_together(self, entries: Sequence[Entry]) -> list[Kept | QuotaExceededError]:
        async with (
            self._database.hot() as connection,
            admitting(self._quota, connection, entries) as refused,
        ):
            admitted = [entry for entry in entries if entry.job.id not in refused]
            if not admitted:
                return [refused[entry.job.id] for entry in entries]
            flows = await self._flows.numbers(connection, {entry.flow for entry in admitted})
            intake = Intake(connection, flows, aging=self._aging)
            kept = await intake.keep(admitted)
        self._wakeups.send(*topics_of_kept(kept, intake.topics))
        rest = iter(kept)
        return [refused.get(entry.job.id) or next(rest) for entry in entries]


def _unless_refused(kept: Kept) -> Submitted:
    if isinstance(kept, IdempotencyConflictError):
        raise kept
    return kept
