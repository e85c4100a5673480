"""Looking at what failed, and mending it."""

from __future__ import annotations

import msgspec

from internal.domain.accounts import Actor
from internal.domain.failures import FailureGroup, GroupMark, read
from internal.domain.ports.failures import Failures


class FailurePage(msgspec.Struct, frozen=True):
    """One page of groups; `following` is where the next one begins, None at the end."""

    groups: list[FailureGroup]
    following: GroupMark | None


class DeadLetters(msgspec.Struct, frozen=True):
    """The use cases around failed jobs; each only reaches what belongs to the actor."""

    failed: Failures

    async def failures(self, actor: Actor, limit: int, after: GroupMark | None) -> FailurePage:
        """Failed jobs grouped by type and normalised error, the most frequent first."""
        groups = await self.failed.page(actor, limit + 1, after)
        if len(groups) <= limit:
            return FailurePage(groups, None)
        last = groups[limit - 1]
        return FailurePage(groups[:limit], GroupMark(last.count, read(last.fingerprint)))
