"""Failed jobs, in groups."""

from __future__ import annotations

from typing import Protocol

from internal.domain.accounts import Actor
from internal.domain.failures import FailureGroup, GroupMark


class Failures(Protocol):
    """What one's own failed jobs failed with."""

    async def page(self, actor: Actor, limit: int, after: GroupMark | None) -> list[FailureGroup]:
        """Up to `limit` groups behind the mark, the most frequent first.

        Counted over the jobs that stand as failed at that moment: a group that grows or shrinks
        while pages are read may be seen twice, or not at all.
        """
