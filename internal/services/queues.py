"""Looking at queues, limiting them, holding them up."""

from __future__ import annotations

from typing import Final

import msgspec

from internal.domain.accounts import Actor
from internal.domain.errors import ContentionError, NotFoundError
from internal.domain.ports.queues import Queues as Store
from internal.domain.queues import Queue, QueuePage, QueueSettings, check_name, check_settings

NO_QUEUE: Final = "there is no such queue: it is made by its first job, or by its settings"


class Queues(msgspec.Struct, frozen=True):
    """The use cases around queues; each only reaches what belongs to the actor."""

    store: Store

    async def page(self, actor: Actor, after: str, limit: int) -> QueuePage:
        """The actor's queues by name, those behind `after`."""
        return await self.store.page(actor, after, limit)

    async def get(self, actor: Actor, name: str) -> Queue:
        """One queue.

        Raises:
            NotFoundError: when the actor has none of this name.
        """
        queue = await self.store.get(actor, check_name(name))
        if queue is None:
            raise NotFoundError(NO_QUEUE)
        return queue

    async def set(self, actor: Actor, name: str, settings: QueueSettings) -> Queue:
        """Give a queue these limits, and make it where there is none.

        Raises:
            ValidationError: naming the field that cannot be.
            LimitReachedError: when it would be one queue too many.
        """
        check_settings(settings)
        await self.store.set(actor, check_name(name), settings)
        queue = await self.store.get(actor, name)
        if queue is None:
            raise ContentionError("the queue was just deleted: try again", retry_after=1)
        return queue

    async def pause(self, actor: Actor, name: str, *, paused: bool) -> Queue:
        """Hold a queue up, or let it go on; what runs runs on.

        Raises:
            NotFoundError: when the actor has none of this name.
        """
        if not await self.store.pause(actor, check_name(name), paused=paused):
            raise NotFoundError(NO_QUEUE)
        return await self.get(actor, name)

    async def delete(self, actor: Actor, name: str) -> None:
        """Forget a queue and its settings; its finished jobs stay.

        Raises:
            NotFoundError: when the actor has none of this name.
            QueueNotEmptyError: when it has unfinished jobs.
        """
        if not await self.store.delete(actor, check_name(name)):
            raise NotFoundError(NO_QUEUE)
