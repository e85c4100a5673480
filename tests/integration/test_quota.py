"""`WINDLASS_MAX_WAITING_PER_USER`: how many unfinished jobs a user may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from internal.domain.accounts import Actor
from internal.domain.errors import QuotaExceededError
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.jobs import Submitted
from tests.support.api import Api, Settings, SignedUp, running_api
from tests.support.postgres import on_every_postgres
from tests.support.routes import claim, error_of, submit
from tests.support.store import ROUTES, Store, a_job, an_end, open_store

LIMIT = 5
MOCK = {"type": "mock"}


@pytest.fixture(scope="module")
async def limited(module_database_url: str) -> AsyncIterator[Api]:
    async with running_api(module_database_url, Settings(max_unfinished=LIMIT)) as api:
        yield api


async def refused(user: SignedUp, path: str = "/v1/jobs", body: Any = MOCK) -> str:
    """Submit in vain; what is said."""
    answer = await user.client.post(path, json=body)
    assert error_of(answer)[:2] == (429, "QUOTA_EXCEEDED"), answer.text
    assert int(answer.headers["retry-after"]) > 0
    message: str = answer.json()["error"]["message"]
    return message


async def a_full_user(api: Api) -> tuple[SignedUp, list[str]]:
    user = await api.a_user()
    return user, [(await submit(user))["id"] for _ in range(LIMIT)]


async def test_one_job_too_many_is_refused_and_said_why(limited: Api) -> None:
    user, _ = await a_full_user(limited)
    message = await refused(user)
    assert "limit of 5 unfinished jobs, of which you have 5" in message

    await submit(await limited.a_user())


async def test_a_batch_is_refused_as_a_whole(limited: Api) -> None:
    user = await limited.a_user()
    await refused(user, "/v1/jobs/batch", {"jobs": [MOCK] * (LIMIT + 1)})
    assert (await user.client.get("/v1/jobs")).json()["data"] == []

    answer = await user.client.post("/v1/jobs/batch", json={"jobs": [MOCK] * LIMIT})
    assert answer.status_code == 201
    await refused(user)


async def test_scheduled_and_running_jobs_count_until_they_end(limited: Api) -> None:
    user = await limited.a_user()
    await submit(user, run_at="2100-01-01T00:00:00Z")
    claimed = await claim(limited, (await submit(user))["id"])
    waiting = [(await submit(user))["id"] for _ in range(LIMIT - 2)]
    await refused(user)

    await limited.store.work.finish([an_end(claimed)])
    await submit(user)
    await refused(user)

    await user.client.post(f"/v1/jobs/{waiting[0]}/cancel")
    await submit(user)
    await refused(user)


async def test_a_job_that_exists_is_given_at_the_limit_too(limited: Api) -> None:
    user = await limited.a_user()
    keyed = {**MOCK, "idempotency_key": "k"}
    first = await submit(user, idempotency_key="k")
    for _ in range(LIMIT - 1):
        await submit(user)

    again = await user.client.post("/v1/jobs", json=keyed)
    batch = await user.client.post("/v1/jobs/batch", json={"jobs": [keyed, keyed]})
    other = await user.client.post("/v1/jobs", json={**keyed, "priority": "high"})

    assert (again.status_code, again.json()["data"]["id"]) == (200, first["id"])
    assert [each["id"] for each in batch.json()["data"]["jobs"]] == [first["id"]] * 2
    assert other.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT"
    await refused(user, body={**keyed, "idempotency_key": "new"})
    await refused(user, "/v1/jobs/batch", {"jobs": [keyed, MOCK]})


async def test_a_retry_by_hand_is_no_submission(limited: Api) -> None:
    user = await limited.a_user()
    claimed = await claim(limited, (await submit(user, max_attempts=1))["id"])
    await limited.store.work.finish([an_end(claimed, Outcome.FAILED)])
    for _ in range(LIMIT):
        await submit(user)

    retried = await user.client.post(f"/v1/jobs/{claimed.id}/retry")
    assert retried.json()["data"]["status"] == "queued"
    await refused(user)


async def test_of_submissions_that_meet_only_those_of_the_full_user_are_refused(
    database_url: str,
) -> None:
    async with open_store(database_url, most_unfinished=LIMIT) as store:
        full, other = await store.a_user(), await store.a_user()
        ahead = asyncio.create_task(store.submit(other))
        both = await asyncio.gather(
            *(store.submit(actor) for actor in (full, other) * (LIMIT - 1)),
            *(store.submit(full) for _ in range(LIMIT)),
            return_exceptions=True,
        )
        await ahead
        assert await _unfinished(store, full) == LIMIT
        assert await _unfinished(store, other) == LIMIT
    ends = [type(each) for each in both]
    assert ends.count(Submitted) == 2 * LIMIT - 1
    assert ends.count(QuotaExceededError) == LIMIT - 1


@on_every_postgres
async def test_one_process_is_exact_whatever_it_is_sent_at_once(database_url: str) -> None:
    limit = 200
    async with open_store(database_url, most_unfinished=limit) as store:
        actor = await store.a_user()
        for _ in range(3):
            await asyncio.gather(
                *(_batch(store, actor, 7) for _ in range(40)),
                *(_batch(store, actor, 1) for _ in range(40)),
            )
            assert limit - 7 < await _unfinished(store, actor) <= limit
            while await _batch(store, actor, 1):
                pass
            assert await _unfinished(store, actor) == limit
            await _work(store, 50)


@on_every_postgres
async def test_several_processes_pass_the_limit_by_a_tenth_each_at_most(database_url: str) -> None:
    limit = 100
    async with (
        open_store(database_url, most_unfinished=limit) as one,
        open_store(database_url, most_unfinished=limit) as other,
    ):
        actor = await one.a_user()
        for _ in range(20):
            await asyncio.gather(*(_batch(store, actor, 3) for store in (one, other) * 5))
        assert limit - 3 < await _unfinished(one, actor) <= limit + limit // 10
        assert not await _batch(one, actor, 3)
        assert not await _batch(other, actor, 3)


async def test_room_that_a_failed_submission_held_is_free_again(database_url: str) -> None:
    async with open_store(database_url, most_unfinished=1) as store:
        actor = await store.a_user()
        await store.execute("alter table ready rename to elsewhere")
        with pytest.raises(Exception, match="ready"):
            await store.submit(actor)
        await store.execute("alter table elsewhere rename to ready")
        await store.submit(actor)
        with pytest.raises(QuotaExceededError):
            await store.submit(actor)


async def test_counters_are_read_before_they_are_folded_and_after(database_url: str) -> None:
    async with open_store(database_url, most_unfinished=2) as store:
        actor = await store.a_user()
        await store.submit(actor)
        await store.upkeep.fold_counters(1000)
        await store.submit(actor, queue="another")
        with pytest.raises(QuotaExceededError):
            await store.submit(actor)


async def _batch(store: Store, actor: Actor, jobs: int) -> bool:
    """Submit so many together; whether there was room."""
    try:
        await store.submissions.submit(actor, [a_job(index) for index in range(jobs)])
    except QuotaExceededError:
        return False
    return True


async def _work(store: Store, jobs: int) -> None:
    worker = await store.a_worker(ttl=timedelta(seconds=60))
    claimed = await store.work.claim(worker, ROUTES, jobs)
    await store.work.finish([an_end(each) for each in claimed])


async def _unfinished(store: Store, actor: Actor) -> int:
    counts = (await store.statistics.stats(actor)).by_status
    return sum(counts[each] for each in (Status.SCHEDULED, Status.QUEUED, Status.RUNNING))
