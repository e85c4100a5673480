"""Batches: their rows, and where their jobs stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select

from internal.adapters.postgres import schema
from internal.adapters.postgres.codes import STATUSES
from internal.adapters.postgres.database import Database, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.batches import BatchPage, BatchProgress, BatchSummary, finished_of
from internal.domain.listing import Page
from internal.domain.ports.feed import Topic, Wakeups

BEFORE_ALL: Final = UUID(int=0)


class PostgresBatches:
    """Fits BatchReads and BatchNews. Jobs are counted where they stand, and nowhere else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, actor: Actor, batch_id: UUID) -> BatchProgress | None:
        found = await self.progress([actor.user_id], [batch_id])
        return found[actor.user_id][0] if found else None

    async def page(self, actor: Actor, page: Page) -> BatchPage:
        async with self._database.begin() as connection:
            rows = (await connection.execute(_page(actor.user_id, page))).all()
        shown = [
            BatchSummary(row.id, row.total, row.created_at, row.finished_at)
            for row in rows[: page.limit]
        ]
        return BatchPage(shown, shown[-1].id if len(rows) > page.limit else None)

    async def progress(
        self, owners: Sequence[UUID], batch_ids: Sequence[UUID]
    ) -> dict[UUID, list[BatchProgress]]:
        async with self._database.hot() as connection:
            rows = await connection.fetch(statement("batches"), list(owners), list(batch_ids))
        found: dict[UUID, list[BatchProgress]] = {}
        for row in rows:
            found.setdefault(row["user_id"], []).append(_progress(row))
        return found


class PostgresBatchUpkeep:
    """Goes through users with unfinished batches, again and again."""

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups
        self._after = BEFORE_ALL
        # Where to go on in the batches of users who have more than one look is for.
        self._begun: dict[UUID, UUID] = {}

    async def finish_batches(self, users: int, batches: int) -> bool:
        values = (self._after, users, batches, list(self._begun), list(self._begun.values()))
        async with self._database.hot() as connection:
            rows = await connection.fetch(statement("finish_batches"), *values)
        for row in rows:
            self._begun.pop(row["user_id"], None)
            if row["batches"] == batches:
                self._begun[row["user_id"]] = row["last"]
        more = len(rows) == users
        self._after = rows[-1]["user_id"] if more else BEFORE_ALL
        if rows and rows[0]["told"]:
            self._wakeups.send(Topic.OUTBOX)
        return more


def _page(user_id: UUID, page: Page) -> Select[Any]:
    batch = schema.batch.c
    query = select(batch.id, batch.total, batch.created_at, batch.finished_at).where(
        batch.user_id == user_id
    )
    if page.before is not None:
        query = query.where(batch.id < page.before)
    return query.order_by(batch.id.desc()).limit(page.limit + 1)


def _progress(row: Row) -> BatchProgress:
    counts = {status: row[str(status)] for status in STATUSES}
    return BatchProgress(
        id=row["id"],
        total=row["total"],
        finished=finished_of(row["total"], counts),
        counts=counts,
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
