"""Doing to many jobs what can be done to one."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.errors import InvalidStateError, NotFoundError
from internal.domain.operations import (
    PER_SECOND,
    BulkRequest,
    Operation,
    OperationStatus,
    Tally,
    check_bulk,
)
from internal.domain.ports.feed import Topic
from internal.domain.ports.operations import Chosen, Operations, OperationSteps
from internal.services.duty import Duty

LOOKED_FOR: Final = timedelta(seconds=1)


class OperationPage(msgspec.Struct, frozen=True):
    """One page; `next_before` starts the next one, None at the end."""

    operations: list[Operation]
    next_before: UUID | None


class Bulk(msgspec.Struct, frozen=True):
    """The use cases around bulk operations; each only reaches what belongs to the actor."""

    operations: Operations

    async def start(self, actor: Actor, request: BulkRequest) -> tuple[UUID | None, Tally]:
        """Begin an operation, or only count what it would come to: then there is no id.

        Raises:
            ValidationError: naming what is wrong with the choice of jobs.
            InvalidStateError: when too many operations are running.
        """
        check_bulk(request)
        chosen: Chosen = set(request.ids or ()) if request.filter is None else request.filter
        if request.dry_run:
            return None, await self.operations.count(actor, request.action, chosen)
        per_second = request.per_second or PER_SECOND[request.action]
        return await self.operations.start(actor, request.action, chosen, per_second)

    async def get(self, actor: Actor, operation_id: UUID) -> Operation:
        """One operation with its progress.

        Raises:
            NotFoundError: when it is unknown or another user's; here and below.
        """
        operation = await self.operations.get(actor, operation_id)
        if operation is None:
            raise NotFoundError("there is no such operation, or it is not yours")
        return operation

    async def page(self, actor: Actor, limit: int, before: UUID | None) -> OperationPage:
        """One page of operations, the newest first."""
        found = await self.operations.page(actor, limit + 1, before)
        page = found[:limit]
        return OperationPage(page, page[-1].id if len(found) > limit else None)

    async def stop(self, actor: Actor, operation_id: UUID) -> Operation:
        """Have an operation do nothing more; what it has done stays done.

        Raises:
            InvalidStateError: when it has come to its end.
        """
        await self.operations.stop(actor, operation_id)
        operation = await self.get(actor, operation_id)
        if operation.status is OperationStatus.DONE:
            raise InvalidStateError("the operation is done: there is nothing to stop")
        return operation


def operator(steps: OperationSteps) -> Duty:
    """Carries out bulk operations, as fast as each may be."""
    return Duty("operator", steps.step, pause=LOOKED_FOR, topics=(Topic.OPERATIONS,))
