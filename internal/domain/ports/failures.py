"""Failed jobs in groups, and what was done about single ones."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from internal.domain.accounts import Actor
from internal.domain.failures import FailureGroup, GroupMark
from internal.domain.replays import PastPayload, ReplayPage


class Failures(Protocol):
    """What one's own failed jobs failed with."""

    async def page(self, actor: Actor, limit: int, after: GroupMark | None) -> list[FailureGroup]:
        """Up to `limit` groups behind the mark, the most frequent first.

        Counted over the jobs that stand as failed at that moment: a group that grows or shrinks
        while pages are read may be seen twice, or not at all.
        """


class Replays(Protocol):
    """Where one's own jobs come from; None for what is unknown or another user's."""

    async def replays(
        self, actor: Actor, job_id: UUID, limit: int, before: int | None = None
    ) -> ReplayPage | None:
        """At most so many retries by hand before a mark, the newest first."""

    async def payloads(
        self, actor: Actor, job_id: UUID, limit: int, after: int | None
    ) -> list[PastPayload] | None:
        """Up to `limit` earlier payloads of later attempts than `after`, the oldest first.

        The first of all is what was submitted.
        """
