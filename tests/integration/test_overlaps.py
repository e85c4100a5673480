"""Schedules do not pile up jobs: overlaps are skipped, and what is too old expires."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from internal.domain.accounts import Actor
from internal.domain.jobs import JobSummary, Status
from internal.domain.listing import JobFilter, Page
from internal.domain.schedules import Schedule
from tests.support.api import Api
from tests.support.postgres import on_every_postgres
from tests.support.schedules import a_schedule, a_scheduler, be_late, is_any_due, work_off
from tests.support.store import ROUTES, Store, a_job, an_end, open_store

MINUTE = timedelta(minutes=1)
# Later by this its slots are at other times, and so their jobs have other keys.
LATER = timedelta(seconds=61)
UNFINISHED = (Status.BLOCKED, Status.SCHEDULED, Status.QUEUED, Status.RUNNING)


async def unfinished(store: Store, actor: Actor) -> list[JobSummary]:
    where = JobFilter(status=UNFINISHED)
    return (await store.listing.page(actor, where, Page(limit=100))).jobs


async def finish_all(store: Store) -> None:
    worker = await store.a_worker()
    await store.work.finish([an_end(each) for each in await store.work.claim(worker, ROUTES, 100)])


@on_every_postgres
@pytest.mark.parametrize("missed", ["skip", "once", "all"])
async def test_a_slot_is_skipped_while_the_job_of_the_one_before_has_not_ended(
    store: Store, missed: str
) -> None:
    actor = await store.a_user()
    schedule = await a_schedule(store, actor, overlap="skip", missed=missed)
    await be_late(store, MINUTE)
    await work_off(store)
    (first,) = await unfinished(store, actor)

    await expect_a_skip(store, actor, schedule, first)
    running = await store.claim_one(await store.a_worker())
    await expect_a_skip(store, actor, schedule, first)

    await store.work.finish([an_end(running)])
    await be_late(store, 2 * LATER)
    await work_off(store)
    (second,) = await unfinished(store, actor)
    assert second.id != first.id
    assert (await store.schedules.get(actor, schedule.id)).last_error is None


async def expect_a_skip(store: Store, actor: Actor, schedule: Schedule, first: JobSummary) -> None:
    await be_late(store, 3 * LATER)
    await work_off(store)

    assert [job.id for job in await unfinished(store, actor)] == [first.id]
    shown = await store.schedules.get(actor, schedule.id)
    assert shown.next_run_at is not None
    assert shown.next_run_at > await store.schedules.now()
    assert shown.last_job_id == first.id
    assert f"job {first.id} has not ended" in (shown.last_error or "")


@pytest.mark.parametrize("place", ["scheduled", "gated", "blocked"])
async def test_a_job_that_waits_anywhere_has_not_ended(store: Store, place: str) -> None:
    actor = await store.a_user()
    job: dict[str, Any] = {"type": "noop"}
    if place == "scheduled":
        job["delay_ms"] = 3_600_000
    if place == "gated":
        job["concurrency_key"] = "k"
    await a_schedule(store, actor, overlap="skip", job=job)
    await be_late(store, MINUTE)
    await work_off(store)
    (first,) = await unfinished(store, actor)
    if place == "blocked":
        await store.execute("""
            with moved as (delete from ready returning *)
            insert into blocked (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                                 version, run_at)
            select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                   version, run_at
            from moved
        """)
    await be_late(store, 2 * LATER)
    await work_off(store)
    assert [each.id for each in await unfinished(store, actor)] == [first.id]


async def test_a_schedule_that_queues_overlaps_submits_each_slot(store: Store) -> None:
    actor = await store.a_user()
    await a_schedule(store, actor)
    for _ in range(3):
        await be_late(store, LATER)
        await work_off(store)
    assert len(await unfinished(store, actor)) == 3


async def test_several_schedulers_leave_one_unfinished_job(database_url: str) -> None:
    """Each slot comes while others look, and the job before it may end at any moment."""
    async with open_store(database_url) as store, open_store(database_url) as other:
        actor = await store.a_user()
        await a_schedule(store, actor, overlap="skip", missed="all", every_ms=1000)
        schedulers = [a_scheduler(each) for each in (store, other, store)]
        for _ in range(8):
            await be_late(store, timedelta(seconds=5.3))
            while await is_any_due(store):
                await asyncio.gather(*(each.run_once() for each in schedulers))
                assert len(await unfinished(store, actor)) <= 1
            await finish_all(store)


async def test_a_run_that_is_asked_for_waits_for_the_last_job(api: Api) -> None:
    user = await api.a_user()
    body = {
        "name": "a",
        "every_ms": 3_600_000,
        "overlap": "skip",
        "job": {"type": "none", "expires_in_ms": 60_000},
    }
    made = await user.client.post("/v1/schedules", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["data"]["overlap"] == "skip"
    path = f"/v1/schedules/{made.json()['data']['id']}"

    first = await user.client.post(f"{path}/run")
    assert first.status_code == 201
    refused = await user.client.post(f"{path}/run")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "INVALID_STATE")
    assert first.json()["data"]["id"] in refused.json()["error"]["message"]
    await user.client.post(f"/v1/jobs/{first.json()['data']['id']}/cancel")
    assert (await user.client.post(f"{path}/run")).status_code == 201

    bad = await user.client.post("/v1/schedules", json=body | {"name": "b", "overlap": "maybe"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    job = {"type": "none", "expires_at": "2100-01-01T00:00:00Z"}
    bad = await user.client.post("/v1/schedules", json=body | {"name": "b", "job": job})
    assert "expires_in_ms" in bad.json()["error"]["message"]


@on_every_postgres
async def test_a_slots_job_that_is_too_old_is_canceled_with_the_reason(store: Store) -> None:
    actor = await store.a_user()
    await a_schedule(store, actor, job={"type": "noop", "expires_in_ms": 60_000})
    await be_late(store, MINUTE)
    await work_off(store)
    (job,) = await unfinished(store, actor)
    assert job.expires_at is not None
    assert job.expires_at - job.run_at == MINUTE

    await store.execute("update expiry set at = at - interval '1 minute'")
    await store.upkeep.expire(10)

    ended = await store.job(actor, job.id)
    assert ended.status is Status.CANCELED
    assert ended.last_error == "expired: it had not started by expires_at"


@on_every_postgres
async def test_validity_counts_from_the_earliest_start(store: Store) -> None:
    actor = await store.a_user()
    fields: list[dict[str, Any]] = [
        {},
        {"delay_ms": 3_600_000},
        {"run_at": "2100-01-01T00:00:00Z"},
        {"run_at": "2020-01-01T00:00:00Z"},
    ]
    jobs = [a_job(expires_in_ms=1500, **each) for each in [*fields, {}]]
    plain = a_job()
    for each in await store.submissions.submit(actor, [*jobs, plain]):
        job = await store.job(actor, each.id)
        expected = None if job.id == plain.id else job.run_at + timedelta(milliseconds=1500)
        assert job.expires_at == expected


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"expires_in_ms": 1}, 201),
        ({"expires_in_ms": 10 * 365 * 24 * 3_600_000}, 201),
        ({"expires_in_ms": 0}, 400),
        ({"expires_in_ms": -5}, 400),
        ({"expires_in_ms": 10 * 365 * 24 * 3_600_000 + 1}, 400),
        ({"expires_in_ms": 5, "expires_at": "2100-01-01T00:00:00Z"}, 400),
    ],
)
async def test_a_validity_has_bounds(api: Api, fields: dict[str, Any], status: int) -> None:
    user = await api.a_user()
    answer = await user.client.post("/v1/jobs", json={"type": "none", **fields})
    assert answer.status_code == status, answer.text
    if status == 201:
        shown = answer.json()["data"]
        read = (await user.client.get(f"/v1/jobs/{shown['id']}")).json()["data"]
        assert shown["expires_at"] == read["expires_at"] is not None
    else:
        assert "expires_in_ms" in answer.text
