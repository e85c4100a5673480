"""The hot path asks the database once: one statement and one round trip, however many jobs.

Once the connection is open, the statement prepared and the flows known. What wakes others is not
counted: it goes over a connection of its own, many together.
"""

from __future__ import annotations

from typing import Final

import pytest

from internal.domain.ids import new_id
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import ClaimedJob, Finish, LoggedLine
from tests.support.store import ROUTES, Store, a_job, an_end
from tests.support.wire import Wire

Tapped = tuple[Store, Wire]

# Statements and round trips.
ONCE: Final = (1, 1)

few_and_many = pytest.mark.parametrize("jobs", [1, 100])


def asked(wire: Wire) -> tuple[int, int]:
    return wire.statements, wire.round_trips


async def claimed(store: Store, jobs: int, *, users: int = 1, **fields: int) -> list[ClaimedJob]:
    """So many jobs in progress, of users with two queues each who are told of every change."""
    await _submit(store, jobs, users, **fields)
    return await store.work.claim(await store.a_worker(), ROUTES, jobs)


async def _submit(store: Store, jobs: int, users: int, **fields: int) -> None:
    """So many of each user."""
    for _ in range(users):
        batch = [a_job(n, queue=f"queue-{n % 2}", **fields) for n in range(jobs)]
        await store.submissions.submit(await store.a_watching_user(), batch)


@pytest.mark.parametrize(
    "fields", [{}, {"idempotency_key": "new"}, {"run_at": "2100-01-01T00:00:00Z"}]
)
async def test_a_submission_asks_once(tapped: Tapped, fields: dict[str, str]) -> None:
    store, wire = tapped
    actor = await store.a_user()
    await store.submit(actor)
    wire.forget()
    await store.submit(actor, **fields)
    assert asked(wire) == ONCE


async def test_a_batch_without_keys_asks_once(tapped: Tapped) -> None:
    store, wire = tapped
    actor = await store.a_user()
    await store.submit(actor)
    wire.forget()
    await store.submissions.submit(actor, [a_job(index) for index in range(100)], new_id())
    assert asked(wire) == ONCE


@few_and_many
@pytest.mark.parametrize("users", [1, 10])
async def test_a_claim_asks_once_whoever_the_jobs_belong_to(
    tapped: Tapped, jobs: int, users: int
) -> None:
    store, wire = tapped
    await _submit(store, jobs + 1, users)
    worker = await store.a_worker()
    await store.claim_one(worker)
    wire.forget()
    got = await store.work.claim(worker, ROUTES, jobs)
    assert asked(wire) == ONCE
    assert len(got) == jobs
    assert len({job.user_id for job in got}) == min(jobs, users)


async def test_a_claim_that_finds_nothing_asks_once(tapped: Tapped) -> None:
    store, wire = tapped
    worker = await store.a_worker()
    await store.work.claim(worker, ROUTES, 100)
    wire.forget()
    assert await store.work.claim(worker, ROUTES, 100) == []
    assert asked(wire) == ONCE


@few_and_many
@pytest.mark.parametrize("users", [1, 10])
async def test_a_flush_of_successes_asks_once(tapped: Tapped, jobs: int, users: int) -> None:
    store, wire = tapped
    first, *others = [an_end(job) for job in await claimed(store, jobs + 1, users=users)]
    await store.work.finish([first])
    wire.forget()
    assert await store.work.finish(others) == set()
    assert asked(wire) == ONCE


@pytest.mark.parametrize("users", [1, 10])
async def test_a_flush_of_every_kind_of_end_asks_once(tapped: Tapped, users: int) -> None:
    store, wire = tapped
    ends = _of_every_kind(await claimed(store, 102, users=users))
    await store.work.finish(ends[:2])
    wire.forget()
    assert await store.work.finish(ends[2:]) == set()
    assert asked(wire) == ONCE
    assert {end.settlement.status for end in ends[2:]} == {
        Status.SUCCEEDED,
        Status.SCHEDULED,
        Status.QUEUED,
        Status.CANCELED,
    }


@few_and_many
async def test_a_flush_of_jobs_that_fail_for_good_asks_once_more(tapped: Tapped, jobs: int) -> None:
    """What they failed with is noted before: most flushes have none such."""
    store, wire = tapped
    given_up = await claimed(store, jobs + 1, users=2, max_attempts=1)
    first, *others = [an_end(job, Outcome.FAILED) for job in given_up]
    await store.work.finish([first])
    wire.forget()
    assert await store.work.finish(others) == set()
    assert asked(wire) == (2, 2)
    assert {end.settlement.status for end in others} == {Status.FAILED}


def _of_every_kind(jobs: list[ClaimedJob]) -> list[Finish]:
    kinds = [each for each in Outcome if each is not Outcome.RUNNING]
    return [an_end(job, kinds[n % len(kinds)]) for n, job in enumerate(jobs)]


@few_and_many
async def test_lines_of_all_jobs_are_kept_by_asking_once(tapped: Tapped, jobs: int) -> None:
    store, wire = tapped
    lines = [LoggedLine(number, 0.0, "a line") for number in (1, 2)]
    first, *others = [job.lease for job in await claimed(store, jobs + 1, users=2)]
    await store.work.log({first: lines})
    wire.forget()
    assert len(await store.work.log(dict.fromkeys(others, lines))) == len(others)
    assert asked(wire) == ONCE


@few_and_many
async def test_a_hand_back_asks_once(tapped: Tapped, jobs: int) -> None:
    store, wire = tapped
    first, *others = [(job.lease, job.attempts) for job in await claimed(store, jobs + 1, users=2)]
    await store.work.hand_back([first])
    wire.forget()
    await store.work.hand_back(others)
    assert asked(wire) == ONCE
