"""Limits hold with real workers, and who goes first is let through first."""

from __future__ import annotations

import asyncio
import time

from internal.domain.jobs import Priority
from internal.domain.queues import QueueSettings, RateLimit
from tests.support.api import Api
from tests.support.conditions import eventually
from tests.support.gates import let_through, look
from tests.support.limits import (
    Meter,
    check_rate,
    set_limits,
    submit,
    submit_all,
)
from tests.support.store import Store, a_job
from tests.support.workers import running_worker

NOOP = ("pull:noop",)


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
        await let_through(store)
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
        await let_through(store)
        await store.work.claim(worker, NOOP, 10)

    (gate,) = await look(store)
    assert len(gate.through()) == 1
    assert gate.before_their_heads() == []


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
