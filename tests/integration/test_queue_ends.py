"""Queues have an end, and a user has only so many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from internal.adapters.postgres.flows import Flows
from internal.domain.accounts import Actor
from internal.domain.errors import LimitReachedError, QueueNotEmptyError, UnavailableError
from internal.domain.jobs import Status
from internal.domain.queues import QueueSettings
from tests.support.api import Api, Settings, running_api
from tests.support.conditions import eventually
from tests.support.limits import path_of, queue_of, set_limits, submit
from tests.support.postgres import on_every_postgres
from tests.support.schedules import a_schedule, be_late, work_off
from tests.support.store import ROUTES, Store, a_job, an_end, open_store

A_DAY_LATER = "update queue set empty_since = empty_since - interval '24 hours'"


async def run_all(store: Store) -> None:
    """Claim and end whatever is queued, and add the counters up."""
    worker = await store.a_worker()
    while (await store.upkeep.admit(100))[0] or await store.work.is_waiting(ROUTES):
        claimed = await store.work.claim(worker, ROUTES, 100)
        await store.work.finish([an_end(each) for each in claimed])
    while await store.upkeep.fold_counters(1000):
        pass


async def rows(store: Store, table: str) -> int:
    async with store.database.hot() as connection:
        count: int = await connection.fetchval(f"select count(*) from {table}")  # noqa: S608
    return count


async def names(store: Store, actor: Actor) -> list[str]:
    return [queue.name for queue in (await store.queues.page(actor, "", 200)).queues]


async def test_a_queue_without_unfinished_jobs_is_deleted_with_its_settings(api: Api) -> None:
    user, other = await api.a_user(), await api.a_user()
    await set_limits(user, "q", max_running=1)
    job = await submit(user, type="none", queue="q")
    path = path_of("q")

    refused = await user.client.delete(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "QUEUE_NOT_EMPTY")
    assert (await other.client.delete(path)).status_code == 404
    assert (await user.client.delete(path_of("unknown"))).status_code == 404
    assert (await queue_of(user, "q"))["max_running"] == 1

    await user.client.post(f"/v1/jobs/{job}/cancel")
    assert (await user.client.delete(path)).status_code == 204
    assert (await user.client.delete(path)).status_code == 404
    assert (await user.client.get(path)).status_code == 404
    assert (await user.client.get("/v1/queues")).json()["data"] == []
    # The finished job stays, in lists and counts.
    listed = await user.client.get("/v1/jobs", params={"queue": "q"})
    assert [each["id"] for each in listed.json()["data"]] == [job]
    stats = (await user.client.get("/v1/stats")).json()["data"]["counts"]["by_status"]
    assert stats["canceled"] == 1

    await submit(user, type="none", queue="q")
    again = await queue_of(user, "q")
    assert (again["max_running"], again["counts"]["queued"]) == (None, 1)


async def test_a_deleted_queue_with_a_name_for_urls_goes_too(api: Api) -> None:
    user = await api.a_user()
    await submit(user, type="none", queue="a/b, c?%")
    for job in (await user.client.get("/v1/jobs")).json()["data"]:
        await user.client.post(f"/v1/jobs/{job['id']}/cancel")
    assert (await user.client.delete(path_of("a/b, c?%"))).status_code == 204
    assert (await user.client.get(path_of("a/b, c?%"))).status_code == 404


@on_every_postgres
async def test_a_retried_job_of_a_deleted_queue_runs_and_its_queue_is_shown(store: Store) -> None:
    actor = await store.a_user()
    job = await store.submit(actor, queue="q")
    await store.commands.cancel(actor, job.id)
    assert await store.queues.delete(actor, "q")
    await store.commands.retry(actor, job.id)

    assert await names(store, actor) == ["q"]
    await run_all(store)
    assert (await store.job(actor, job.id)).status is Status.SUCCEEDED
    assert await names(store, actor) == []
    await store.sweep("queues")
    assert await rows(store, "flow") == 1  # the finished job's

    await store.commands.delete(actor, job.id)
    await run_all(store)
    await store.sweep("queues")
    assert [await rows(store, table) for table in ("queue", "flow", "counter")] == [0, 0, 0]


@on_every_postgres
async def test_a_process_that_knew_a_deleted_queue_makes_it_again(store: Store) -> None:
    """Its numbers of flows are out of date: of retired ones, and of ones that are gone."""
    actor = await store.a_user()
    for is_gone in (True, False):
        job = await store.submit(actor, queue="q")
        await run_all(store)
        assert await store.queues.delete(actor, "q")
        if is_gone:
            await store.commands.delete(actor, job.id)
            await run_all(store)
            await store.sweep("queues")
            assert await rows(store, "flow") == 0

        keyed = [a_job(queue="q", idempotency_key=f"{is_gone} {n}") for n in range(2)]
        await store.submissions.submit(actor, keyed)
        await store.submit(actor, queue="q", run_at="2100-01-01T00:00:00Z")

        queue = await store.queues.get(actor, "q")
        assert queue is not None
        assert queue.counts[Status.QUEUED] == 2
        await run_all(store)
        for waiting in (await store.queues.page(actor, "", 10)).queues:
            assert waiting.counts[Status.SCHEDULED] == 1
        await store.execute("update scheduled set run_at = now()")
        await store.upkeep.stage_due(10)
        await run_all(store)


async def test_nothing_is_lost_while_a_queue_is_deleted_again_and_again(database_url: str) -> None:
    async with open_store(database_url) as store, open_store(database_url) as other:
        actor, sent, stop = await store.a_user(), [], asyncio.Event()

        async def delete() -> None:
            while not stop.is_set():
                try:
                    await store.queues.delete(actor, "q")
                    await store.sweep("queues")
                except (QueueNotEmptyError, UnavailableError):
                    pass
                await run_all(store)

        deleting = asyncio.create_task(delete())
        for number in range(60):
            by = (store, other)[number % 2]
            jobs = [a_job(queue="q", idempotency_key=f"{number} {n}") for n in range(number % 3)]
            sent += (
                await by.submissions.submit(actor, jobs)
                if jobs
                else [await by.submit(actor, queue="q")]
            )
        stop.set()
        await deleting
        await run_all(store)
        for each in sent:
            assert (await store.job(actor, each.id)).status is Status.SUCCEEDED
        stats = await store.statistics.stats(actor)
        assert stats.by_status[Status.SUCCEEDED] == len(sent)


@on_every_postgres
async def test_an_empty_queue_goes_after_a_day_and_one_with_settings_stays(store: Store) -> None:
    actor = await store.a_user()
    jobs = [await store.submit(actor, queue=name) for name in ("empty", "kept", "set", "busy")]
    await store.queues.set(actor, "set", QueueSettings(max_running=1))
    await store.queues.set(actor, "plain", QueueSettings())
    await store.queues.set(actor, "paused", QueueSettings(paused=True))
    await run_all(store)
    await store.submit(actor, queue="busy")
    await run_all(store)
    for job in (jobs[0], jobs[2]):
        await store.commands.delete(actor, job.id)
    await run_all(store)

    await store.sweep("queues")
    assert await names(store, actor) == ["busy", "empty", "kept", "paused", "plain", "set"]
    await store.execute(A_DAY_LATER)
    await store.submit(actor, queue="plain", run_at="2100-01-01T00:00:00Z")
    await store.sweep("queues")
    assert await names(store, actor) == ["busy", "kept", "paused", "plain", "set"]


async def test_a_user_has_so_many_queues_and_no_more(database_url: str) -> None:
    async with running_api(database_url, Settings(max_queues=3)) as api:
        user, other = await api.a_user(), await api.a_user()
        for name in "abc":
            await submit(user, type="none", queue=name)

        await expect_refusal(user.client, "POST", "/v1/jobs", {"type": "none", "queue": "d"})
        batch = {"jobs": [{"type": "none", "queue": "a"}, {"type": "none", "queue": "d"}]}
        await expect_refusal(user.client, "POST", "/v1/jobs/batch", batch)
        await expect_refusal(user.client, "PUT", path_of("d"), {"max_running": 1})
        assert (await user.client.get("/v1/jobs")).json()["data"][0]["queue"] == "c"
        await submit(other, type="none", queue="d")
        await submit(user, type="none", queue="a")
        await set_limits(user, "a", max_running=1)

        for job in (await user.client.get("/v1/jobs", params={"queue": "b"})).json()["data"]:
            await user.client.post(f"/v1/jobs/{job['id']}/cancel")
        assert (await user.client.delete(path_of("b"))).status_code == 204
        await submit(user, type="none", queue="d")
        await expect_refusal(user.client, "POST", "/v1/jobs", {"type": "none", "queue": "b"})


async def expect_refusal(client: Any, method: str, path: str, body: dict[str, Any]) -> None:
    answer = await client.request(method, path, json=body)
    assert answer.status_code == 409, answer.text
    error = answer.json()["error"]
    assert error["code"] == "LIMIT_REACHED"
    assert "3 queues" in error["message"]


async def test_queues_that_come_at_once_are_counted_together(database_url: str) -> None:
    async with open_store(database_url, most_queues=5) as store:
        actor = await store.a_user()
        jobs = [[a_job(queue=f"{n} {m}") for m in range(2)] for n in range(8)]
        done = await asyncio.gather(
            *(store.submissions.submit(actor, each) for each in jobs), return_exceptions=True
        )
        refused = [each for each in done if isinstance(each, BaseException)]
        assert {type(each) for each in refused} == {LimitReachedError}
        assert 4 <= await rows(store, "queue") <= 5


async def test_one_job_of_a_group_that_is_refused_leaves_the_others_alone(
    database_url: str,
) -> None:
    async with open_store(database_url, most_queues=1) as store:
        actor, other = await store.a_user(), await store.a_user()
        await store.submit(actor, queue="a")
        done = await asyncio.gather(
            *(store.submit(each, queue=name) for each in (actor, other) for name in ("a", "b")),
            return_exceptions=True,
        )
        assert [isinstance(each, LimitReachedError) for each in done] in (
            [False, True, False, True],
            [False, True, True, False],
        )


async def test_a_slot_of_a_queue_too_many_is_left_out_with_the_reason(database_url: str) -> None:
    async with open_store(database_url, most_queues=1) as store:
        actor = await store.a_user()
        await store.submit(actor, queue="a")
        job = {"type": "noop", "queue": "b"}
        schedule = await a_schedule(store, actor, job=job)
        await be_late(store, schedule.timing.step)
        await work_off(store)
        shown = await store.schedules.get(actor, schedule.id)
        assert "1 queues" in (shown.last_error or "")
        assert await names(store, actor) == ["a"]
        await store.queues.pause(actor, "a", paused=False)


async def test_a_schedule_makes_its_deleted_queue_again(store: Store) -> None:
    actor = await store.a_user()
    job = {"type": "noop", "queue": "q"}
    schedule = await a_schedule(store, actor, job=job)
    for _ in range(2):
        await be_late(store, schedule.timing.step)
        await work_off(store)
        assert await names(store, actor) == ["q"]
        await run_all(store)
        assert await store.queues.delete(actor, "q")


async def test_counts_of_a_user_who_is_gone_do_not_stop_the_others_from_being_added_up(
    store: Store,
) -> None:
    gone, actor = await store.a_user(), await store.a_user()
    for each in (gone, actor):
        await store.submit(each, queue="q")
    await store.execute("delete from account where id = $1", gone.user_id)
    while await store.upkeep.fold_counters(100):
        pass
    assert await rows(store, "counter_delta") == 0
    assert await rows(store, "counter") == 1


@pytest.mark.parametrize("holder", ["submission", "deletion"])
async def test_a_submission_and_a_deletion_wait_for_each_other(store: Store, holder: str) -> None:
    actor = await store.a_user()
    await store.submit(actor, queue="q")
    await run_all(store)
    async with store.database.hot() as connection:
        async with connection.transaction():
            numbers = await Flows().numbers(connection, [(actor.user_id, "q", "pull:noop")])
            lock = "for key share" if holder == "submission" else "for update"
            flow = next(iter(numbers.values()))
            await connection.fetch(f"select from flow where id = $1 {lock}", flow)
            work = (
                store.queues.delete(actor, "q")
                if holder == "submission"
                else store.submit(actor, queue="q")
            )
            waiting = asyncio.create_task(work)
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await eventually(waiting.done)
    await waiting
