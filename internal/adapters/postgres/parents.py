"""What claimed jobs learn about the jobs that they waited for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from internal.adapters.postgres.codes import STATUSES
from internal.adapters.postgres.database import Hot, Row
from internal.domain.handlers import Parent
from internal.domain.ports.work import ClaimedJob

# Of all results together that come with one claim.
MOST_RESULT_BYTES: Final = 8 * 1024 * 1024
# Parents that one statement reads, some 20 microseconds each.
READ_AT_ONCE: Final = 20_000


async def with_parents(connection: Hot, jobs: Sequence[ClaimedJob]) -> list[ClaimedJob]:
    """The same jobs in the same order; most claims are read about with one more statement."""
    found: dict[UUID, list[Row]] = defaultdict(list)
    budget = MOST_RESULT_BYTES
    for part in _parts([job for job in jobs if job.dependencies]):
        query = "select * from parents_of($1, $2)"
        for row in await connection.fetch(query, part, budget):
            found[row["child_id"]].append(row)
            budget -= 0 if row["result"] is None else len(row["result"].encode())
        budget = max(budget, 0)
    return [
        replace(job, parents=_named(found[job.id])) if job.dependencies else job for job in jobs
    ]


def _parts(jobs: Iterable[ClaimedJob]) -> Iterator[list[UUID]]:
    part: list[UUID] = []
    size = 0
    for job in jobs:
        part.append(job.id)
        size += job.dependencies
        if size >= READ_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part


def _named(rows: Sequence[Row]) -> Mapping[str, Parent]:
    """By name; parents of several batches may share one, and then go by their ids."""
    names = Counter(row["name"] for row in rows)
    return {
        row["name"] if row["name"] and names[row["name"]] == 1 else str(row["parent_id"]): Parent(
            id=row["parent_id"],
            name=row["name"],
            type=row["type"],
            status=None if row["status"] is None else STATUSES[row["status"]],
            raw_result=row["result"],
            is_left_out=row["is_left_out"],
        )
        for row in rows
    }
