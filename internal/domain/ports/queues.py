"""A user's queues and their limits."""

from __future__ import annotations

from typing import Protocol

from internal.domain.accounts import Actor
from internal.domain.queues import Queue, QueuePage, QueueSettings


class Queues(Protocol):
    """Looking at one's own queues, and limiting them. What is another user's is None."""

    async def get(self, actor: Actor, name: str) -> Queue | None:
        """The queue; None when the actor has never used or set one of this name."""

    async def page(self, actor: Actor, after: str, limit: int) -> QueuePage:
        """Queues by name, those behind `after`."""

    async def set(self, actor: Actor, name: str, settings: QueueSettings) -> None:
        """Make these the queue's limits, and the queue where there is none.

        On return no job starts against them; those that run already run on and are counted.

        Raises:
            LimitReachedError: when it would be one queue too many.
        """

    async def pause(self, actor: Actor, name: str, *, paused: bool) -> bool:
        """Stop or go on starting the queue's jobs; whether there is such a queue.

        What is asked for twice changes nothing.
        """

    async def delete(self, actor: Actor, name: str) -> bool:
        """Forget the queue with its settings; whether there was such a queue.

        A job that is submitted at the same moment is either seen by this, or makes the queue again.
        Finished jobs stay for as long as any other.

        Raises:
            QueueNotEmptyError: when it has unfinished jobs.
        """
