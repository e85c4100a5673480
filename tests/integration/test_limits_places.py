"""The places that limits count come back, whatever becomes of jobs and workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.domain.jobs import Outcome
from internal.domain.outcomes import Snooze
from internal.domain.ports.work import Lease
from internal.domain.queues import QueueSettings
from tests.support.api import Api
from tests.support.conditions import eventually
from tests.support.gates import let_through
from tests.support.limits import (
    Meter,
    job_of,
    queue_of,
    set_limits,
    submit,
    submit_all,
)
from tests.support.store import Store, an_end
from tests.support.workers import SETTINGS, running_worker

NARROW = QueueSettings(max_running=1)
NOOP = ("pull:noop",)
BRIEF = replace(SETTINGS, lease_ttl=timedelta(seconds=1))


async def test_jobs_that_no_worker_serves_hold_no_places(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    await set_limits(user, "q", max_running=1)
    await submit_all(user, [{"type": "nobody's", "queue": "q", "priority": "high"}] * 5)
    await submit_all(user, [{"type": meter.type, "queue": "q"}] * 5)
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 5)
    assert (await queue_of(user, "q"))["counts"]["queued"] == 5


async def test_places_of_jobs_whose_worker_died_before_it_claimed_them_come_back(
    store: Store,
) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "q", NARROW)
    await store.submit(actor, queue="q", type="rare")
    await store.submit(actor, queue="q")
    rare = await store.a_worker(routes=["pull:rare"])
    await let_through(store)
    worker = await store.a_worker(routes=NOOP)
    await let_through(store)
    assert await store.work.claim(worker, NOOP, 10) == [], "its place is taken"

    await store.expire(rare)
    await store.sweep()
    await let_through(store)
    (job,) = await store.work.claim(worker, NOOP, 10)
    assert job.type == "noop"
    await store.work.finish([an_end(job)])
    await let_through(store)
    another = await store.a_worker(routes=["pull:rare"])
    await let_through(store)
    (job,) = await store.work.claim(another, ["pull:rare"], 10)
    assert job.type == "rare"


async def test_a_killed_workers_places_come_back_with_its_leases(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    await set_limits(user, "q", max_running=2)
    await submit_all(user, [{"type": meter.type, "queue": "q", "concurrency_key": "k"}] * 2)
    await submit_all(user, [{"type": meter.type, "queue": "q"}] * 4)
    meter.go_on.clear()
    async with running_worker(api.store, [meter.handler], BRIEF) as worker:
        await eventually(lambda: meter.running[""] == 2)
        await worker.kill()
    heir = Meter(type_=meter.type)
    async with running_worker(api.store, [heir.handler]):
        await eventually(lambda: heir.ended == 6)
    assert heir.most[""] == 2
    meter.go_on.set()  # what is left of the dead worker in this process
    assert (await queue_of(user, "q"))["counts"]["succeeded"] == 6


async def test_a_snoozed_or_failed_job_gives_its_place_back_while_it_waits(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    await set_limits(user, "q", max_running=1)
    snoozed: list[int] = []

    @handler("snoozer")
    async def snoozer(job: dict[str, Any], ctx: JobContext) -> None:
        snoozed.append(ctx.attempt)
        if ctx.attempt == 1:
            raise Snooze("1h")
        if ctx.attempt == 2:
            raise RuntimeError("no")

    job_id = await submit(user, type="snoozer", queue="q", max_attempts=2, priority="high")
    async with running_worker(api.store, [meter.handler, snoozer]):
        await eventually(lambda: snoozed == [1])
        await submit(user, type=meter.type, queue="q")
        await eventually(lambda: meter.ended == 1)
        meter.go_on.clear()
        await submit(user, type=meter.type, queue="q")
        await eventually(lambda: meter.running[""] == 1)

        await _make_due(api.store, job_id)
        await eventually(lambda: _has_status(user, job_id, "queued"))
        assert snoozed == [1], "it passed the gate beside a running job"
        meter.go_on.set()
        await eventually(lambda: snoozed == [1, 2])
        await submit(user, type=meter.type, queue="q")
        await eventually(lambda: meter.ended == 3)
        await eventually(lambda: _has_status(user, job_id, "scheduled"))
        await _make_due(api.store, job_id)
        await eventually(lambda: _has_status(user, job_id, "succeeded"))
    assert meter.most[""] == 1


async def _make_due(store: Store, job_id: str) -> None:
    await store.execute("update scheduled set run_at = now() where job_id = $1", job_id)


async def _has_status(user: Any, job_id: str, status: str) -> bool:
    return bool((await job_of(user, job_id))["status"] == status)


async def test_a_job_that_is_handed_back_keeps_its_place(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.queues.set(actor, "q", NARROW)
    first = await store.submit(actor, queue="q")
    await store.submit(actor, queue="q")
    await let_through(store)
    claimed = await store.claim_one(worker)
    await store.work.hand_back([(Lease(claimed.id, claimed.token), claimed.attempts)])
    await let_through(store)

    (again,) = await store.work.claim(worker, NOOP, 10)
    assert again.id == first.id


async def test_a_job_that_is_canceled_before_it_started_frees_its_place(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.queues.set(actor, "q", NARROW)
    first = await store.submit(actor, queue="q")
    second = await store.submit(actor, queue="q")
    await let_through(store)
    await store.commands.cancel(actor, first.id)
    await let_through(store)

    (claimed,) = await store.work.claim(worker, NOOP, 10)
    assert claimed.id == second.id


async def test_every_end_of_an_attempt_frees_its_place(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.queues.set(actor, "q", NARROW)
    ends = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELED)
    for outcome in ends:
        await store.submit(actor, queue="q", max_attempts=1)
        await store.submit(actor, queue="q")
        await let_through(store)
        (claimed,) = await store.work.claim(worker, NOOP, 10)
        await store.work.finish([an_end(claimed, outcome)])
        await let_through(store)
        (claimed,) = await store.work.claim(worker, NOOP, 10)
        await store.work.finish([an_end(claimed)])
