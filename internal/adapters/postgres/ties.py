"""What new jobs wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.errors import ContentionError, FieldError, ValidationError
from internal.domain.ports.feed import Topic
from internal.domain.ports.jobs import Submitted
from internal.domain.submission import NewJob

MOST_FAULTS: Final = 100
# A job moves within milliseconds; a flush or a gate may take some more.
LOOKS: Final = 1000
PAUSE_S: Final = 0.005

PLACES: Final = "select await_places($1, $2)"
QUEUED: Final = "select await_queued($1, $2)"
UNKNOWN: Final = """
    select array(
      select r.id from unnest($2::uuid[]) as r(id)
      where (select true from job where id = r.id and user_id = $1 limit 1) is null)
"""


class Ties:
    """Dependencies of one user's new jobs.

    The jobs that they wait for are marked, so that their ends leave notes, before the transaction
    that keeps the new ones begins: it would hold up those ends. What ends between the two is found
    by the notes that the transaction itself leaves.
    """

    def __init__(self, connection: Hot, actor: Actor, jobs: Sequence[NewJob]) -> None:
        self._connection = connection
        self._actor = actor
        self._jobs = jobs
        self._children = [job for job in jobs if job.parents]
        # What to wake others for: one may have ended already, or was put to its gate anew.
        self.topics = {Topic.RELEASE, Topic.GATE} if self._children else set[Topic]()

    async def mark(self) -> None:
        """Have the ends told of those they wait for, but for those among the new jobs themselves.

        Raises:
            ValidationError: naming those that are unknown or another user's.
        """
        if not self._children:
            return
        existing = await self._existing()
        own = {job.id for job in self._jobs}
        parents = {
            id_ for job in self._children if job.id not in existing for id_ in job.parents
        } - own
        if missing := await self._await(parents):
            raise ValidationError.of(*self._faults(missing)[:MOST_FAULTS])

    async def keep(self, kept: Sequence[Submitted]) -> None:
        """Write down who waits for whom; a job that existed already stands for the new one.

        Raises:
            ContentionError: when one that existed is deleted just now.
        """
        if not self._children:
            return
        there = {
            job.id: each.id for job, each in zip(self._jobs, kept, strict=True) if each.deduplicated
        }
        edges = {
            (child.id, there.get(parent, parent))
            for child in self._children
            if child.id not in there
            for parent in child.parents
        }
        if await self._await({parent for _, parent in edges} & set(there.values())):
            raise ContentionError("a job with one of these keys was just deleted: send them again")
        new = {job.id for job in self._jobs} - there.keys()
        query = """
            with tied as (
              insert into dependency (child_id, parent_id, user_id)
              select child_id, parent_id, $3
              from unnest($1::uuid[], $2::uuid[]) as e(child_id, parent_id)
            )
            insert into dependency_note (job_id, user_id) select unnest($4::uuid[]), $3
        """
        columns = ([child for child, _ in edges], [parent for _, parent in edges])
        older = list({parent for _, parent in edges} - new)
        await self._connection.execute(query, *columns, self._actor.user_id, older)

    async def _existing(self) -> set[UUID]:
        """The children whose idempotency keys name jobs already: what they wait for may be gone."""
        keyed = {job.idempotency_key: job.id for job in self._children if job.idempotency_key}
        if not keyed:
            return set()
        users = [self._actor.user_id] * len(keyed)
        rows = await self._connection.fetch(statement("existing"), users, list(keyed))
        return {keyed[row["key"]] for row in rows}

    async def _await(self, parents: Collection[UUID]) -> set[UUID]:
        """Mark them wherever they stand; those that the user does not have.

        Raises:
            ContentionError: when some are moved again and again.
        """
        rest, user_id = sorted(parents), self._actor.user_id
        for _ in range(LOOKS):
            if rest:
                rest = await self._connection.fetchval(PLACES, user_id, rest)
            if not rest:
                return set()
            if unknown := await self._connection.fetchval(UNKNOWN, user_id, rest):
                return set(unknown)
            rest = await self._connection.fetchval(QUEUED, user_id, rest)
            if rest:
                await asyncio.sleep(PAUSE_S)
        raise ContentionError("the jobs it depends on keep moving: try again", retry_after=1)

    def _faults(self, missing: Collection[UUID]) -> list[FieldError]:
        return [
            FieldError("depends_on", f"there is no job {id_}, or it is not yours", job.index)
            for job in self._children
            for id_ in job.parents
            if id_ in missing
        ]
