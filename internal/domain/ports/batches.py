"""Keeping account of jobs that were submitted together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from internal.domain.accounts import Actor
from internal.domain.batches import BatchPage, BatchProgress
from internal.domain.listing import Page


class BatchReads(Protocol):
    """Looking at one's own batches."""

    async def get(self, actor: Actor, batch_id: UUID) -> BatchProgress | None:
        """The batch as it stands now; None for what is another user's."""

    async def page(self, actor: Actor, page: Page) -> BatchPage:
        """One page, the newest submission first."""


class BatchNews(Protocol):
    """What live events show of batches."""

    async def progress(
        self, owners: Sequence[UUID], batch_ids: Sequence[UUID]
    ) -> dict[UUID, list[BatchProgress]]:
        """These batches as they stand now by owner, of the named owners only."""


class BatchUpkeep(Protocol):
    """A duty that any process may do at any time; several at once do not disturb each other."""

    async def finish_batches(self, users: int, batches: int) -> bool:
        """Mark the batches whose last job has ended, and have it told: once for each batch.

        Each call looks at some `users` more, and at so many `batches` of each, so that many of one
        user hold up nobody else's. Returns whether there are users left to look at; after the last
        one it begins again.
        """
