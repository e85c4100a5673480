"""Limits hold with real workers, whatever becomes of the jobs and of the workers."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from internal.domain.handlers import JobContext, Snooze, handler
from internal.domain.jobs import Outcome, Priority
from internal.domain.ports.work import Lease
from internal.domain.queues import QueueSettings, RateLimit
from tests.support.api import Api
from tests.support.conditions import eventually
from tests.support.gates import look
from tests.support.limits import (
    Meter,
    check_rate,
    job_of,
    queue_of,
    resume,
    set_limits,
    submit,
    submit_all,
)
from tests.support.store import Store, a_job, an_end
from tests.support.workers import SETTINGS, running_worker

NARROW = QueueSettings(max_running=1)
NOOP = ("pull:noop",)
BRIEF = replace(SETTINGS, lease_ttl=timedelta(seconds=1))


async def test_a_queue_runs_no_more_than_it_may(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    await set_limits(user, "narrow", max_running=3)
    await submit_all(user, [{"type": meter.type, "queue": "narrow"}] * 40)
    async with (
        running_worker(api.store, [meter.handler]),
        running_worker(api.store, [meter.handler]),
    ):
        await eventually(lambda: meter.ended == 40)

    assert meter.most[""] == 3


async def test_a_key_runs_one_job_at_a_time_and_hides_no_other(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0.02)
    keyed = [
        {"type": meter.type, "concurrency_key": key, "payload": {"key": key}}
        for key in ("a", "b", "c")
        for _ in range(10)
    ]
    await submit_all(user, [*keyed, {"type": meter.type}])
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 31)

    assert {key: meter.most[key] for key in ("a", "b", "c")} == {"a": 1, "b": 1, "c": 1}
    assert meter.most[""] >= 3


async def test_a_key_runs_as_many_as_its_queue_says_and_the_queue_no_more_than_it_may(
    api: Api,
) -> None:
    user, meter = await api.a_user(), Meter()
    await set_limits(user, "q", max_running=3, max_running_per_key=2)
    jobs = [
        {"type": meter.type, "queue": "q", "concurrency_key": key, "payload": {"key": key}}
        for key in ("a", "b", "c")
        for _ in range(10)
    ]
    await submit_all(user, jobs)
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 30)

    assert max(meter.most[key] for key in ("a", "b", "c")) == 2
    assert meter.most[""] == 3


async def test_a_full_key_of_a_thousand_jobs_hides_none_behind_it(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    meter.go_on.clear()
    full = [{"type": meter.type, "concurrency_key": "full", "payload": {"key": "full"}}] * 1_000
    await submit_all(user, full)
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: len(meter.started) == 1)
        await submit(user, type=meter.type, concurrency_key="other", payload={"key": "other"})
        await eventually(lambda: meter.running["other"] == 1)
        assert meter.most["full"] == 1
        meter.go_on.set()


async def test_the_same_key_in_another_queue_or_of_another_user_is_another_key(api: Api) -> None:
    ada, bob, meter = await api.a_user(), await api.a_user(), Meter()
    meter.go_on.clear()
    for user, queue in ((ada, "q"), (ada, "r"), (bob, "q")):
        await submit(user, type=meter.type, queue=queue, concurrency_key="k")
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.running[""] == 3)
        meter.go_on.set()
        await eventually(lambda: meter.ended == 3)


async def test_starts_keep_to_a_rate_with_a_burst(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0)
    await set_limits(user, "slow", rate_limit={"limit": 50, "burst": 5})
    since = time.monotonic()
    await submit_all(user, [{"type": meter.type, "queue": "slow"}] * 60)
    async with (
        running_worker(api.store, [meter.handler]),
        running_worker(api.store, [meter.handler]),
    ):
        await eventually(lambda: meter.ended == 60)

    check_rate(meter.starts(), since, per_s=50, burst=5)


async def test_starts_of_each_rate_key_keep_to_its_rate(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0)
    await set_limits(user, "q", rate_limit_per_key={"limit": 30, "burst": 3})
    since = time.monotonic()
    jobs = [
        {"type": meter.type, "queue": "q", "payload": {"key": key}, "rate_key": key}
        for key in ("a", "b")
        for _ in range(20)
    ]
    await submit_all(user, [*jobs, *[{"type": meter.type, "queue": "q"}] * 20])
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 60)

    for key in ("a", "b"):
        check_rate(meter.starts(key), since, per_s=30, burst=3)


async def test_a_job_with_both_keys_waits_for_both(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0.01)
    await set_limits(user, "q", rate_limit_per_key={"limit": 50, "burst": 2})
    since = time.monotonic()
    jobs = [
        {
            "type": meter.type,
            "queue": "q",
            "payload": {"key": key},
            "concurrency_key": key,
            "rate_key": "all",
        }
        for key in ("a", "b", "c")
        for _ in range(10)
    ]
    await submit_all(user, jobs)
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 30)

    assert max(meter.most[key] for key in ("a", "b", "c")) == 1
    check_rate(meter.starts(), since, per_s=50, burst=2)


async def test_a_burst_that_waited_for_a_worker_lets_no_other_start_beside_it(store: Store) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "q", QueueSettings(rate_limit=RateLimit(20, burst=5)))
    await store.submissions.submit(actor, [a_job(n, queue="q") for n in range(30)])
    worker = await store.a_worker()
    await store.upkeep.admit(1000)
    await asyncio.sleep(0.5)  # the busy worker comes to them only now; ten tokens would have come
    since = time.monotonic()
    claimed = await store.work.claim(worker, NOOP, 1000)
    assert len(claimed) == 5
    while len(claimed) < 30:
        assert len(claimed) <= 5 + 20 * (time.monotonic() - since)
        await store.upkeep.admit(1000)
        claimed += await store.work.claim(worker, NOOP, 1000)


async def test_more_start_than_stand_in_line_at_a_time_though_none_ends(store: Store) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "q", QueueSettings(max_running=5300))
    for first in range(0, 5400, 600):
        jobs = [a_job(n, queue="q") for n in range(first, first + 600)]
        await store.submissions.submit(actor, jobs)
    worker = await store.a_worker()
    claimed = []

    async def all_that_may() -> bool:
        while (await store.upkeep.admit(5000))[0]:
            pass
        claimed.extend(await store.work.claim(worker, NOOP, 6000))
        return len(claimed) >= 5300

    await all_that_may()
    assert len(claimed) == 5000
    await eventually(all_that_may)
    assert len(claimed) == 5300


async def test_no_lane_goes_before_jobs_of_a_higher_priority_in_others(store: Store) -> None:
    """Also with more lanes than a gatekeeper looks at in its first pass."""
    actor = await store.a_user()
    await store.queues.set(actor, "q", QueueSettings(max_running=400, max_running_per_key=100))
    for priority, times in (("low", 5), ("high", 1)):
        keys = [f"key {n}" for n in range(300) for _ in range(times)]
        jobs = [
            a_job(n, queue="q", priority=priority, concurrency_key=key)
            for n, key in enumerate(keys)
        ]
        await store.submissions.submit(actor, jobs)
    worker = await store.a_worker()
    await store.upkeep.admit(5000)
    claimed = await store.work.claim(worker, NOOP, 1000)

    assert len(claimed) == 400
    started = [await store.job(actor, one.id) for one in claimed]
    assert sum(job.priority is Priority.HIGH for job in started) == 300


async def test_a_lane_with_many_jobs_is_left_for_no_lower_priority(store: Store) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "q", QueueSettings(max_running=10, max_running_per_key=100))
    for priority in ("low", "high"):
        jobs = [a_job(n, queue="q", priority=priority, concurrency_key=priority) for n in range(20)]
        await store.submissions.submit(actor, jobs)
    worker = await store.a_worker()
    await store.upkeep.admit(5000)
    claimed = await store.work.claim(worker, NOOP, 100)

    started = [await store.job(actor, one.id) for one in claimed]
    assert [job.priority for job in started] == [Priority.HIGH] * 10


async def test_who_goes_first_behind_a_full_key_is_where_its_lane_begins(store: Store) -> None:
    """As `why` counts by it who goes before a job."""
    actor = await store.a_user()
    worker = await store.a_worker()
    for priority in ("medium", "high"):
        jobs = [a_job(n, queue="q", concurrency_key="a", priority=priority) for n in range(3)]
        await store.submissions.submit(actor, jobs)
        while (await store.upkeep.admit(100))[0]:
            pass
        await store.work.claim(worker, NOOP, 10)

    (gate,) = await look(store)
    assert len(gate.through()) == 1
    assert gate.before_their_heads() == []


async def test_a_queue_that_is_limited_while_its_user_sleeps_wakes_them(store: Store) -> None:
    actor = await store.a_user()
    worker = await store.a_worker()
    await store.submissions.submit(actor, [a_job(queue="q")])
    (first,) = await store.work.claim(worker, NOOP, 1)
    await store.work.finish([an_end(first)])
    await store.upkeep.tend_flows(100)
    await store.queues.set(actor, "q", QueueSettings(max_running=1))
    while (await store.upkeep.admit(100))[0]:
        pass
    await store.submissions.submit(actor, [a_job(queue="q")])
    await store.upkeep.admit(100)
    assert len(await store.work.claim(worker, NOOP, 1)) == 1


async def test_jobs_that_stand_in_line_stay_there_while_their_limit_is_lifted_and_set(
    store: Store,
) -> None:
    actor = await store.a_user()
    worker = await store.a_worker()
    await store.queues.set(actor, "q", QueueSettings(max_running=3))
    await store.submissions.submit(actor, [a_job(n, queue="q") for n in range(3)])
    await store.upkeep.admit(100)
    await store.queues.set(actor, "q", QueueSettings())
    await store.queues.set(actor, "q", QueueSettings(max_running=3))
    await store.upkeep.admit(100)
    assert len(await store.work.claim(worker, NOOP, 10)) == 3


async def test_a_limit_that_is_set_while_jobs_run_counts_those(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    meter.go_on.clear()
    await submit_all(user, [{"type": meter.type, "queue": "q"}] * 5)
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.running[""] == 5)
        await set_limits(user, "q", max_running=2)
        await submit_all(user, [{"type": meter.type, "queue": "q"}] * 10)
        await submit(user, type=meter.type, queue="other")
        await eventually(lambda: meter.running[""] == 6)
        assert (await queue_of(user, "q"))["counts"]["running"] == 5
        meter.most.clear()
        meter.go_on.set()
        await eventually(lambda: meter.ended == 16)
        assert meter.most[""] <= 5

        meter.most.clear()
        meter.running.clear()
        await submit_all(user, [{"type": meter.type, "queue": "q"}] * 10)
        await eventually(lambda: meter.ended == 26)
    assert meter.most[""] == 2


async def test_a_limit_may_be_lowered_raised_and_lifted_under_way(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0.005)
    await set_limits(user, "q", max_running=4)
    await submit_all(user, [{"type": meter.type, "queue": "q"}] * 100)
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended >= 10)
        meter.go_on.clear()
        await eventually(lambda: meter.running[""] == 4)
        await set_limits(user, "q", max_running=1)
        meter.most.clear()
        meter.go_on.set()
        await eventually(lambda: meter.ended >= 30)
        assert meter.most[""] <= 4
        meter.most.clear()
        await set_limits(user, "q", max_running=3)
        await eventually(lambda: meter.most[""] == 3)
        await set_limits(user, "q")
        await eventually(lambda: meter.most[""] > 3)
        await eventually(lambda: meter.ended == 100)


async def test_a_queue_with_thousands_in_line_is_limited_and_lifted(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0)
    await set_limits(user, "q", paused=True)
    await submit_all(user, [{"type": meter.type, "queue": "q"}] * 5_000)
    async with running_worker(api.store, [meter.handler]):
        await resume(user, "q")
        await eventually(lambda: meter.ended >= 100)
        await set_limits(user, "q", max_running=2)
        await eventually(lambda: _is_gated(api, "q"))
        before = meter.ended
        meter.most.clear()
        await eventually(lambda: meter.ended >= before + 20)
        assert meter.most[""] <= 2
        await set_limits(user, "q")
        await eventually(lambda: meter.ended == 5_000)
    assert (await queue_of(user, "q"))["counts"]["succeeded"] == 5_000


async def _is_gated(api: Api, queue: str) -> bool:
    """Whether its jobs have been moved behind the gate, and those that ran before have ended."""
    (gate,) = [each for each in await look(api.store) if each.jobs and each.queue["name"] == queue]
    return not gate.queue["is_regating"] and len(gate.through()) <= gate.queue["max_running"]


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
    await _admit_all(store)
    worker = await store.a_worker(routes=NOOP)
    await _admit_all(store)
    assert await store.work.claim(worker, NOOP, 10) == [], "its place is taken"

    await store.expire(rare)
    await store.upkeep.prune()
    await _admit_all(store)
    (job,) = await store.work.claim(worker, NOOP, 10)
    assert job.type == "noop"
    await store.work.finish([an_end(job)])
    await _admit_all(store)
    another = await store.a_worker(routes=["pull:rare"])
    await _admit_all(store)
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
    await _admit_all(store)
    claimed = await store.claim_one(worker)
    await store.work.hand_back([(Lease(claimed.id, claimed.token), claimed.attempts)])
    await _admit_all(store)

    (again,) = await store.work.claim(worker, NOOP, 10)
    assert again.id == first.id


async def test_a_job_that_is_canceled_before_it_started_frees_its_place(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.queues.set(actor, "q", NARROW)
    first = await store.submit(actor, queue="q")
    second = await store.submit(actor, queue="q")
    await _admit_all(store)
    await store.commands.cancel(actor, first.id)
    await _admit_all(store)

    (claimed,) = await store.work.claim(worker, NOOP, 10)
    assert claimed.id == second.id


async def test_every_end_of_an_attempt_frees_its_place(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.queues.set(actor, "q", NARROW)
    ends = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELED)
    for outcome in ends:
        await store.submit(actor, queue="q", max_attempts=1)
        await store.submit(actor, queue="q")
        await _admit_all(store)
        (claimed,) = await store.work.claim(worker, NOOP, 10)
        await store.work.finish([an_end(claimed, outcome)])
        await _admit_all(store)
        (claimed,) = await store.work.claim(worker, NOOP, 10)
        await store.work.finish([an_end(claimed)])


async def test_a_claim_under_way_passes_no_limit_that_is_set_meanwhile(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    for round_ in range(10):
        queue = f"q{round_}"
        await store.submissions.submit(actor, [a_job(n, queue=queue) for n in range(20)])
        claimed, _, more = await asyncio.gather(
            store.work.claim(worker, NOOP, 3),
            store.queues.set(actor, queue, QueueSettings(max_running=2)),
            store.work.claim(worker, NOOP, 3),
        )
        held = [*claimed, *more]
        while jobs := await _claim_more(store, worker):
            held += jobs
        assert len(held) <= max(2, len(claimed) + len(more))
        await store.work.finish([an_end(job) for job in held])
        await store.queues.set(actor, queue, QueueSettings())
        while jobs := await _claim_more(store, worker):
            await store.work.finish([an_end(job) for job in jobs])


async def _claim_more(store: Store, worker: str) -> list[Any]:
    await _admit_all(store)
    return await store.work.claim(worker, NOOP, 100)


async def test_a_queue_that_is_due_all_the_time_keeps_no_other_waiting(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    for number in range(5):
        settings = QueueSettings(rate_limit=RateLimit(1_000_000, burst=1))
        await store.queues.set(actor, f"fast{number}", settings)
        await store.submissions.submit(
            actor, [a_job(n, queue=f"fast{number}", priority="low") for n in range(10)]
        )
    await store.submit(actor, queue="q", concurrency_key="k", priority="high")
    for _ in range(100):
        await store.upkeep.admit(1)
    claimed = await store.work.claim(worker, NOOP, 10)
    assert len(claimed) == 6


async def _admit_all(store: Store) -> None:
    while (await store.upkeep.admit(1000))[0]:
        pass
