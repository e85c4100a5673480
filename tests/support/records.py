"""What the tables say of each finished job, held against what its handlers wrote down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec

from internal.adapters.postgres.codes import OUTCOMES, STATUSES
from internal.domain.jobs import Outcome, Status
from tests.support.invariants import violations
from tests.support.journal import Journal
from tests.support.store import Store
from tests.support.truth import Truth

_RECORDS = """
    select f.job_id, f.status as ended_as, f.number as starts,
           a.number, a.status, a.started_at, a.finished_at
    from finished f
    left join attempt a using (job_id)
    order by f.job_id, a.number
"""

Attempts = list[dict[str, Any]]


class Tally(msgspec.Struct):
    """How the attempts ended, and how many ran on beside their successor after they were lost."""

    outcomes: Counter[Outcome] = msgspec.field(default_factory=Counter)
    overtaken: int = 0

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common())
        return (
            f"attempts: {ends}; {self.overtaken} ran on beside their successor"
            " after their lease was lost"
        )


async def check_each_done_once(
    store: Store, accepted: Collection[UUID], journal: Journal, *, is_durable: bool = False
) -> Tally:
    """Each accepted job is there and succeeded once, and nothing else is there.

    The record agrees with itself, with the journal and with the invariants.
    """
    records = await records_of(store)
    assert set(records) == set(accepted), "a job was lost, or made twice"
    assert len(records) == len(accepted), "a job was accepted under two keys"
    tally = Tally()
    for job_id, attempts in records.items():
        check_done_once(job_id, attempts, journal, tally)
    on_record = {(job_id, each["number"]) for job_id in records for each in records[job_id]}
    assert set(journal.starts) <= on_record, "a handler ran, and there is no attempt of it"
    await Truth(store, is_heard=False).check(set())
    assert await violations(store, is_durable=is_durable) == {}
    return tally


async def records_of(store: Store) -> dict[UUID, Attempts]:
    """The attempts of each finished job, the first one first."""
    records: dict[UUID, Attempts] = {}
    async with store.database.hot() as connection:
        for row in await connection.fetch(_RECORDS):
            records.setdefault(row["job_id"], []).append(dict(row))
    return records


def check_done_once(job_id: UUID, attempts: Attempts, journal: Journal, tally: Tally) -> None:
    """It succeeded by its last attempt, and at no time two of its attempts ran."""
    outcomes = [OUTCOMES[each["status"]] for each in attempts]
    tally.outcomes.update(outcomes)
    numbers = [each["number"] for each in attempts]
    assert STATUSES[attempts[0]["ended_as"]] is Status.SUCCEEDED
    assert outcomes.count(Outcome.SUCCEEDED) == 1
    assert outcomes[-1] is Outcome.SUCCEEDED
    assert numbers == list(range(1, attempts[0]["starts"] + 1)), "a gap in the record"
    for before, after in pairwise(attempts):
        assert before["finished_at"] <= after["started_at"], "two leases at the same time"
    for number, outcome in zip(numbers, outcomes, strict=True):
        tally.overtaken += _check_attempt((job_id, number), outcome, journal)


def _check_attempt(attempt: tuple[UUID, int], outcome: Outcome, journal: Journal) -> bool:
    """As its handler saw it; one that was lost may never have begun, or never have ended.

    Returns whether it ran on beside its successor.
    """
    starts, ends = journal.starts.get(attempt, []), journal.ends.get(attempt, [])
    assert len(starts) <= 1, "an attempt was started twice"
    assert len(ends) <= len(starts)
    if outcome in {Outcome.SUCCEEDED, Outcome.FAILED}:
        assert ends, "an end is on record that no handler came to"
    job_id, number = attempt
    successor = journal.starts.get((job_id, number + 1))
    overlap = bool(successor and ends and ends[0] > successor[0])
    assert not overlap or outcome is Outcome.LOST, "two attempts ran at the same time"
    return overlap
