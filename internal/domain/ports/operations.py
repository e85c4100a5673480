"""Bulk operations: made by users, carried out by workers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Protocol, TypeAlias
from uuid import UUID

from internal.domain.accounts import Actor
from internal.domain.listing import JobFilter
from internal.domain.operations import Action, Operation, Tally

# Jobs by name or by what they are like; only the actor's own are found.
Chosen: TypeAlias = Collection[UUID] | JobFilter


class Operations(Protocol):
    """One's own operations."""

    async def count(self, actor: Actor, action: Action, chosen: Chosen) -> Tally:
        """What an action would come to, if it were done at this moment.

        Raises:
            ValidationError: when too many jobs match, or to count them takes too long.
        """

    async def start(
        self, actor: Actor, action: Action, chosen: Chosen, per_second: int
    ) -> tuple[UUID, Tally]:
        """Have an action done to the jobs that match at this moment, and to no later ones.

        Raises:
            ValidationError: as `count`.
            InvalidStateError: when too many operations are running.
        """

    async def get(self, actor: Actor, operation_id: UUID) -> Operation | None:
        """One operation; None when it is unknown or another user's."""

    async def page(self, actor: Actor, limit: int, before: UUID | None) -> list[Operation]:
        """Up to `limit` operations that are older than `before`, the newest first."""

    async def stop(self, actor: Actor, operation_id: UUID) -> None:
        """Have a running operation do nothing more; a step under way is waited for."""


class OperationSteps(Protocol):
    """The work of operations."""

    async def step(self) -> timedelta | None:
        """Take the next step of an operation that is due; how long until the next one is.

        A step is one transaction: what it does to its jobs, in order of id, and how far that is
        noted. Several processes never work on the same operation, and none waits for another. A
        job that has changed since it matched is skipped, with its reason; one that is moving just
        now is left to a later step. Zero means that more may be due now, None that nothing is.
        """
