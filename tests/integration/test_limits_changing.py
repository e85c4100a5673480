"""Limits that are set, changed and lifted while jobs wait and run."""

from __future__ import annotations

import asyncio
from typing import Any

from internal.domain.queues import QueueSettings
from tests.support.api import Api
from tests.support.conditions import eventually
from tests.support.gates import let_through, look
from tests.support.limits import (
    Meter,
    queue_of,
    resume,
    set_limits,
    submit,
    submit_all,
)
from tests.support.store import Store, a_job, an_end
from tests.support.workers import running_worker

NOOP = ("pull:noop",)


async def test_a_queue_that_is_limited_while_its_user_sleeps_wakes_them(store: Store) -> None:
    actor = await store.a_user()
    worker = await store.a_worker()
    await store.submissions.submit(actor, [a_job(queue="q")])
    (first,) = await store.work.claim(worker, NOOP, 1)
    await store.work.finish([an_end(first)])
    await store.upkeep.tend_flows(100)
    await store.queues.set(actor, "q", QueueSettings(max_running=1))
    await let_through(store)
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
    await let_through(store)
    return await store.work.claim(worker, NOOP, 100)
