"""Bulk operations as their users see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from asyncpg import QueryCanceledError
from sqlalchemy import (
    ARRAY,
    CTE,
    Select,
    Uuid,
    and_,
    any_,
    column,
    false,
    func,
    insert,
    literal,
    select,
    table,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from internal.adapters.postgres import schema
from internal.adapters.postgres.codes import STATUS_CODE, STATUSES
from internal.adapters.postgres.database import Database
from internal.adapters.postgres.listing import matching
from internal.adapters.postgres.owners import lock_owner
from internal.domain.accounts import Actor
from internal.domain.errors import FieldError, ValidationError
from internal.domain.ids import new_id
from internal.domain.jobs import FINISHED
from internal.domain.listing import JobFilter
from internal.domain.operations import (
    ELIGIBLE,
    MOST_MATCHED,
    Action,
    Operation,
    OperationStatus,
    Tally,
    check_matched,
    check_running,
    tally,
)
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.ports.operations import Chosen

# Less than any statement's, so that the answer can say what took too long.
COUNT_TIMEOUT_MS: Final = 10_000
JOB_STATE: Final = table("job_state", column("user_id"), column("job_id"), column("status"))


class PostgresOperations:
    """Fits the port Operations. What is left to do of one are its rows of `operation_item`."""

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups

    async def count(self, actor: Actor, action: Action, chosen: Chosen) -> Tally:
        matched = _matched(actor, action, chosen)
        async with self._database.begin() as connection:
            return await _tally(connection, action, chosen, _by_status(matched))

    async def start(
        self, actor: Actor, action: Action, chosen: Chosen, per_second: int
    ) -> tuple[UUID, Tally]:
        operation_id, matched = new_id(), _matched(actor, action, chosen)
        kept = _by_status(matched).add_cte(_keep(operation_id, action, matched))
        async with self._database.begin() as connection:
            # Of two that begin at once the second counts the first.
            await lock_owner(connection, actor)
            check_running(await _running(connection, actor))
            found = await _tally(connection, action, chosen, kept)
            status = OperationStatus.RUNNING if found.eligible else OperationStatus.DONE
            values = insert(schema.operation).values(
                id=operation_id,
                user_id=actor.user_id,
                action=action,
                status=status,
                per_second=per_second,
                matched=found.matched,
                eligible=found.eligible,
                skipped=found.skipped,
                finished_at=None if found.eligible else func.now(),
            )
            await connection.execute(values)
        self._wakeups.send(Topic.OPERATIONS)
        return operation_id, found

    async def get(self, actor: Actor, operation_id: UUID) -> Operation | None:
        query = _operations(actor).where(schema.operation.c.id == operation_id)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _operation(row)

    async def page(self, actor: Actor, limit: int, before: UUID | None) -> list[Operation]:
        key = schema.operation.c.id
        query = _operations(actor).order_by(key.desc()).limit(limit)
        if before is not None:
            query = query.where(key < before)
        async with self._database.begin() as connection:
            return [_operation(row) for row in await connection.execute(query)]

    async def stop(self, actor: Actor, operation_id: UUID) -> None:
        operation, item = schema.operation, schema.operation_item
        stopped = (
            update(operation)
            .where(operation.c.id == operation_id, operation.c.user_id == actor.user_id)
            .where(operation.c.status == OperationStatus.RUNNING)
            .values(status=OperationStatus.STOPPED, finished_at=func.now())
        )
        async with self._database.begin() as connection:
            if (await connection.execute(stopped)).rowcount:
                await connection.execute(item.delete().where(item.c.operation_id == operation_id))


def _matched(actor: Actor, action: Action, chosen: Chosen) -> CTE:
    """The jobs with their statuses, and whether they are needed; one more than may be."""
    found = _chosen(actor, chosen).subquery("chosen")
    # A look-up of its own, so only where it can matter: for a million it would take half a minute.
    is_needed = and_(found.c.awaited, func.is_needed(actor.user_id, found.c.id))
    needed = is_needed if action is Action.DELETE else false()
    return select(found.c.id, found.c.status, needed.label("needed")).cte("matched")


def _chosen(actor: Actor, chosen: Chosen) -> Select[tuple[UUID, int, bool]]:
    if isinstance(chosen, JobFilter):
        return matching(actor.user_id, chosen).limit(MOST_MATCHED + 1)
    state, named = JOB_STATE.c, any_(literal(sorted(chosen), ARRAY(Uuid)))
    has_finished = state.status.in_([STATUS_CODE[each] for each in FINISHED])
    query = select(state.job_id.label("id"), state.status, has_finished.label("awaited"))
    return query.where(state.user_id == actor.user_id, state.job_id == named)


def _by_status(matched: CTE) -> Select[tuple[int, bool, int]]:
    groups = (matched.c.status, matched.c.needed)
    return select(*groups, func.count()).group_by(*groups)


def _keep(operation_id: UUID, action: Action, matched: CTE) -> CTE:
    codes = [STATUS_CODE[each] for each in ELIGIBLE[action]]
    fits = (matched.c.status.in_(codes), ~matched.c.needed)
    fit = select(literal(operation_id), matched.c.id).where(*fits)
    columns = ["operation_id", "job_id"]
    return insert(schema.operation_item).from_select(columns, fit).cte("kept")


async def _tally(
    connection: AsyncConnection,
    action: Action,
    chosen: Chosen,
    query: Select[tuple[int, bool, int]],
) -> Tally:
    await connection.execute(text(f"set local statement_timeout = {COUNT_TIMEOUT_MS}"))
    try:
        rows: Sequence[Any] = (await connection.execute(query)).all()
    except DBAPIError as error:
        if isinstance(error.__cause__ and error.__cause__.__cause__, QueryCanceledError):
            fault = FieldError("filter", "matches too much to be counted in time: narrow it")
            raise ValidationError.of(fault) from error
        raise
    by_status = {STATUSES[status]: jobs for status, is_needed, jobs in rows if not is_needed}
    needed = sum(jobs for _, is_needed, jobs in rows if is_needed)
    matched = sum(by_status.values()) + needed
    check_matched(matched)
    not_found = 0 if isinstance(chosen, JobFilter) else len(chosen) - matched
    return tally(action, by_status, needed=needed, not_found=not_found)


async def _running(connection: AsyncConnection, actor: Actor) -> int:
    operation = schema.operation.c
    query = select(func.count()).where(
        operation.user_id == actor.user_id, operation.status == OperationStatus.RUNNING
    )
    return int((await connection.execute(query)).scalar_one())


def _operations(actor: Actor) -> Select[Any]:
    operation = schema.operation.c
    return select(
        operation.id,
        operation.action,
        operation.status,
        operation.matched,
        operation.eligible,
        operation.done,
        operation.skipped,
        operation.per_second,
        operation.created_at,
        operation.finished_at,
    ).where(operation.user_id == actor.user_id)


def _operation(row: Any) -> Operation:
    id_, action, status, *others = row
    return Operation(id_, Action(action), OperationStatus(status), *others)
