"""Looking at batches."""

from __future__ import annotations

from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.batches import BatchPage, BatchProgress
from internal.domain.errors import NotFoundError
from internal.domain.listing import Page
from internal.domain.ports.batches import BatchReads


class Batches(msgspec.Struct, frozen=True):
    """The use cases around batches; each only reaches what belongs to the actor."""

    reads: BatchReads

    async def get(self, actor: Actor, batch_id: UUID) -> BatchProgress:
        """How far a batch is.

        Raises:
            NotFoundError: when it is unknown or another user's.
        """
        batch = await self.reads.get(actor, batch_id)
        if batch is None:
            raise NotFoundError("there is no such batch, or it is not yours")
        return batch

    async def page(self, actor: Actor, page: Page) -> BatchPage:
        """One page of a list, the newest first."""
        return await self.reads.page(actor, page)
