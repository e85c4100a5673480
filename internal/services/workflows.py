"""Looking at jobs with all that they wait for and all that waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.errors import NotFoundError
from internal.domain.jobs import JobSummary
from internal.domain.ports.jobs import Edge, Summaries, Ties

MOST_JOBS: Final = 1_000
# Of the jobs of one step; each step is a short statement.
MOST_EDGES: Final = 10_000


class Workflow(msgspec.Struct, frozen=True):
    """Jobs that depend on each other, the nearest to the one asked for first.

    An edge goes from a job to one that waits for it. `truncated`: there is more than is shown.
    """

    jobs: list[JobSummary]
    edges: list[Edge]
    truncated: bool


class Workflows(msgspec.Struct, frozen=True):
    """Walks along dependencies, in both directions, step by step."""

    ties: Ties
    summaries: Summaries

    async def of(self, actor: Actor, job_id: UUID) -> Workflow:
        """Everything that a job is connected with, up to `MOST_JOBS` jobs.

        Raises:
            NotFoundError: when the job is unknown or another user's.
        """
        if not await self._summaries(actor, [job_id]):
            raise NotFoundError("there is no such job, or it is not yours")
        ids, edges, truncated = await self._walk(actor, job_id)
        found = {each.id: each for each in await self._summaries(actor, ids)}
        jobs = [found[each] for each in ids if each in found]
        shown = [edge for edge in sorted(edges) if found.keys() >= set(edge)]
        return Workflow(jobs, shown[:MOST_EDGES], truncated or len(shown) > MOST_EDGES)

    async def _walk(self, actor: Actor, job_id: UUID) -> tuple[list[UUID], set[Edge], bool]:
        ids, edges, truncated = {job_id: None}, set[Edge](), False
        newest = [job_id]
        while newest:
            found = await self.ties.edges(actor, newest, MOST_EDGES)
            edges |= set(found)
            near = dict.fromkeys(each for edge in found for each in edge if each not in ids)
            newest = list(near)[: MOST_JOBS - len(ids)]
            truncated |= len(near) > len(newest) or len(found) == MOST_EDGES
            ids |= dict.fromkeys(newest)
        return list(ids), edges, truncated

    async def _summaries(self, actor: Actor, ids: Iterable[UUID]) -> list[JobSummary]:
        found = await self.summaries.summaries([actor.user_id], list(ids))
        return found.get(actor.user_id, [])
