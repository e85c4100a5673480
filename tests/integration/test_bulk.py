"""Doing to many jobs what can be done to one, through the API and real workers."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from internal.adapters.postgres import operations
from internal.domain import operations as rules
from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.domain.ids import new_id
from internal.domain.jobs import Outcome
from internal.domain.outcomes import Fail
from tests.support.api import Api, SignedUp
from tests.support.conditions import eventually
from tests.support.operations import hurry, steps
from tests.support.routes import error_of, finish, start, submit
from tests.support.workers import running_worker

Fields = dict[str, Any]


@handler("mended")
async def mended(job: Fields, ctx: JobContext) -> None:
    if ctx.attempt == 1:
        raise Fail("not yet")


async def test_what_a_dry_run_counts_is_what_is_done(api: Api) -> None:
    ada = await api.a_user()
    failed = [await finish(api, ada, Outcome.FAILED) for _ in range(3)]
    succeeded = await finish(api, ada, Outcome.SUCCEEDED, "null")
    running = str((await start(api, ada)).id)
    canceled = (await submit(ada))["id"]
    await ada.client.post(f"/v1/jobs/{canceled}/cancel")
    waiting = (await submit(ada, run_at="2100-01-01T00:00:00Z"))["id"]
    request = {"action": "retry", "filter": {"type": ["mock"]}}

    dry = await bulk(ada, {**request, "dry_run": True})

    skipped = {"succeeded": 1, "running": 1, "scheduled": 1}
    assert dry == {"operation_id": None, "matched": 7, "eligible": 4, "skipped": skipped}
    assert (await ada.client.get("/v1/operations")).json()["data"] == []
    assert [await status(ada, each) for each in failed] == ["failed"] * 3
    begun = await bulk(ada, request)
    assert {**begun, "operation_id": None} == dry
    done = await ends(api, ada, begun)
    assert (done["status"], done["done"], done["skipped"]) == ("done", 4, skipped)
    assert done["finished_at"] >= done["created_at"]
    assert [await status(ada, each) for each in [*failed, canceled]] == ["queued"] * 4
    expected = [(succeeded, "succeeded"), (running, "running"), (waiting, "scheduled")]
    assert [(each, await status(ada, each)) for each, _ in expected] == expected
    (replay,) = (await ada.client.get(f"/v1/jobs/{failed[0]}/replays")).json()["data"]
    assert replay["operation_id"] == begun["operation_id"]


async def test_many_are_canceled_whether_they_wait_or_run(api: Api) -> None:
    ada = await api.a_user()
    queued = [(await submit(ada, tags=["old"]))["id"] for _ in range(3)]
    running = str((await start(api, ada, tags=["old"])).id)
    others = [each for each in queued if await status(ada, each) == "running"]
    later = (await submit(ada, tags=["old"], run_at="2100-01-01T00:00:00Z"))["id"]
    spared = (await submit(ada))["id"]

    begun = await bulk(ada, {"action": "cancel", "filter": {"tag": ["old"]}})
    done = await ends(api, ada, begun)

    assert (done["eligible"], done["done"], done["skipped"]) == (5, 5, {})
    for job_id in {*queued, later} - set(others):
        assert await status(ada, job_id) == "canceled"
    for job_id in (running, *others):
        job = (await ada.client.get(f"/v1/jobs/{job_id}")).json()["data"]
        assert (job["status"], job["cancel_requested_at"] is None) == ("running", False)
    assert await status(ada, spared) == "queued"


async def test_many_are_deleted_by_their_ids(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    finished = [await finish(api, ada, Outcome.FAILED) for _ in range(2)]
    waiting = (await submit(ada, run_at="2100-01-01T00:00:00Z"))["id"]
    hers = await finish(api, eve, Outcome.FAILED)
    ids = [*finished, finished[0], waiting, hers, str(new_id())]

    begun = await bulk(ada, {"action": "delete", "ids": ids})
    done = await ends(api, ada, begun)

    assert (begun["matched"], begun["eligible"]) == (5, 2)
    assert (done["done"], done["skipped"]) == (2, {"scheduled": 1, "not_found": 2})
    for job_id in finished:
        assert (await ada.client.get(f"/v1/jobs/{job_id}")).status_code == 404
    assert await status(eve, hers) == "failed"
    counts = (await ada.client.get("/v1/stats")).json()["data"]["counts"]
    assert counts["total"] == 1


async def test_a_dry_run_of_a_deletion_counts_what_others_need(api: Api) -> None:
    ada = await api.a_user()
    needed, free = [await finish(api, ada, Outcome.SUCCEEDED, "null") for _ in range(2)]
    child = (await submit(ada, depends_on=[needed], run_at="2100-01-01T00:00:00Z"))["id"]

    named = {"action": "delete", "ids": [needed, free]}
    request = {"action": "delete", "filter": {"status": ["succeeded"]}}
    dry = await bulk(ada, {**request, "dry_run": True})
    assert (dry["matched"], dry["eligible"], dry["skipped"]) == (2, 1, {"needed": 1})
    assert await bulk(ada, {**named, "dry_run": True}) == dry
    begun = await bulk(ada, request)
    assert {**begun, "operation_id": None} == dry
    done = await ends(api, ada, begun)

    assert (done["done"], done["skipped"]) == (1, {"needed": 1})
    assert await status(ada, needed) == "succeeded"
    await ada.client.post(f"/v1/jobs/{child}/cancel")
    dry = await bulk(ada, {"action": "delete", "ids": [needed], "dry_run": True})
    assert (dry["eligible"], dry["skipped"]) == (1, {})


async def test_a_job_that_others_came_to_need_meanwhile_is_not_deleted(api: Api) -> None:
    ada = await api.a_user()
    job_id = await finish(api, ada, Outcome.SUCCEEDED, "null")
    begun = await bulk(ada, {"action": "delete", "ids": [job_id]})
    await submit(ada, depends_on=[job_id], run_at="2100-01-01T00:00:00Z")

    done = await ends(api, ada, begun)

    assert (begun["eligible"], done["done"], done["skipped"]) == (1, 0, {"needed": 1})
    assert await status(ada, job_id) == "succeeded"


async def test_a_group_of_failures_is_replayed_by_its_fingerprint(api: Api) -> None:
    ada = await api.a_user()
    jobs = {"jobs": [{"type": "mended"}] * 20}
    await ada.client.post("/v1/jobs/batch", json=jobs)
    async with running_worker(api.store, [mended]), running_worker(api.store, [mended]):
        await eventually(lambda: counted(ada, "failed", 20))
        (group,) = (await ada.client.get("/v1/failures")).json()["data"]
        where = {"fingerprint": [group["fingerprint"]]}
        begun = await bulk(ada, {"action": "retry", "filter": where})
        await eventually(lambda: counted(ada, "succeeded", 20))
        done = (await ada.client.get(f"/v1/operations/{begun['operation_id']}")).json()["data"]
        assert done["done"] == 20


async def test_an_operation_stops_in_the_middle(api: Api) -> None:
    ada = await api.a_user()
    await some_scheduled(ada, 8)
    request = {"action": "cancel", "filter": {"status": ["scheduled"]}, "per_second": 4}
    begun = await bulk(ada, request)
    url = f"/v1/operations/{begun['operation_id']}"
    await steps(api.store)

    stopped = await ada.client.post(f"{url}/stop")

    data = stopped.json()["data"]
    assert (stopped.status_code, data["status"], data["done"]) == (200, "stopped", 1)
    assert (await ada.client.post(f"{url}/stop")).json()["data"] == data
    await hurry(api.store)
    await steps(api.store)
    assert (await ada.client.get(url)).json()["data"] == data
    assert await counted(ada, "scheduled", 7)


async def test_an_operation_takes_the_time_that_it_was_given(api: Api) -> None:
    """Of two jobs each, the first step is due at once and the fifth a second later."""
    ada = await api.a_user()
    await some_scheduled(ada, 10)
    request = {"action": "cancel", "filter": {"status": ["scheduled"]}, "per_second": 8}
    async with running_worker(api.store, []):
        url = f"/v1/operations/{(await bulk(ada, request))['operation_id']}"
        await eventually(lambda: comes_to(ada, url, "done", 10))
    operation = (await ada.client.get(url)).json()["data"]
    moments = (operation["created_at"], operation["finished_at"])
    begun, ended = map(datetime.fromisoformat, moments)
    assert timedelta(seconds=1) <= ended - begun < timedelta(seconds=5)
    assert await counted(ada, "canceled", 10)


async def test_an_operation_that_a_worker_carries_out_is_stopped_halfway(api: Api) -> None:
    ada = await api.a_user()
    await some_scheduled(ada, 8)
    request = {"action": "cancel", "filter": {"status": ["scheduled"]}, "per_second": 4}
    async with running_worker(api.store, []):
        url = f"/v1/operations/{(await bulk(ada, request))['operation_id']}"
        await eventually(lambda: comes_to(ada, url, "running", 2))
        stopped = (await ada.client.post(f"{url}/stop")).json()["data"]
        await asyncio.sleep(0.6)  # two more steps, if it went on
        assert (await ada.client.get(url)).json()["data"] == stopped
    assert stopped["status"] == "stopped"
    assert 2 <= stopped["done"] < 8
    assert await counted(ada, "scheduled", 8 - stopped["done"])


async def test_what_is_done_cannot_be_stopped(api: Api) -> None:
    ada = await api.a_user()
    begun = await bulk(ada, {"action": "cancel", "ids": [str(new_id())]})
    url = f"/v1/operations/{begun['operation_id']}"
    operation = (await ada.client.get(url)).json()["data"]
    assert (operation["status"], operation["skipped"]) == ("done", {"not_found": 1})
    assert error_of(await ada.client.post(f"{url}/stop"))[:2] == (409, "INVALID_STATE")


async def test_operations_are_listed_the_newest_first(api: Api) -> None:
    ada = await api.a_user()
    request = {"action": "delete", "ids": [str(new_id())]}
    made = [(await bulk(ada, request))["operation_id"] for _ in range(3)]
    first = (await ada.client.get("/v1/operations?limit=2")).json()
    query = {"limit": "2", "cursor": first["next_cursor"]}
    second = (await ada.client.get("/v1/operations", params=query)).json()
    assert [each["id"] for each in first["data"] + second["data"]] == made[::-1]
    assert second["next_cursor"] is None
    refused = await ada.client.get("/v1/operations?cursor=nonsense")
    assert error_of(refused)[2][0]["field"] == "cursor"


async def test_operations_are_their_users_own(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    await submit(ada, run_at="2100-01-01T00:00:00Z")
    mine = await bulk(ada, {"action": "cancel", "filter": {"status": ["scheduled"]}})
    url = f"/v1/operations/{mine['operation_id']}"
    for answer in (await eve.client.get(url), await eve.client.post(f"{url}/stop")):
        assert error_of(answer)[:2] == (404, "NOT_FOUND")
    for answer in (await eve.client.get("/v1/operations/7"), await eve.client.get(url + "0")):
        assert answer.status_code in {400, 404}
    assert (await eve.client.get("/v1/operations")).json()["data"] == []
    every = await bulk(eve, {"action": "cancel", "filter": {"type": ["mock"]}, "dry_run": True})
    assert every["matched"] == 0
    assert (await ends(api, ada, mine))["done"] == 1


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"action": "run", "ids": [str(UUID(int=0))]}, "action"),
        ({"action": "retry"}, "filter"),
        ({"action": "retry", "filter": {}}, "filter"),
        ({"action": "retry", "filter": {"status": []}}, "filter"),
        (
            {"action": "retry", "filter": {"status": ["failed"]}, "ids": [str(UUID(int=0))]},
            "filter",
        ),
        ({"action": "retry", "filter": {"status": ["nope"]}}, "filter.status[0]"),
        ({"action": "retry", "filter": {"state": ["failed"]}}, "filter.state"),
        ({"action": "retry", "filter": {"limit": 3}}, "filter.limit"),
        ({"action": "retry", "filter": {"created_after": "0001-01-01T00:00:00Z"}}, "created_after"),
        ({"action": "retry", "ids": []}, "ids"),
        ({"action": "retry", "ids": ["7"]}, "ids[0]"),
        ({"action": "retry", "ids": [str(UUID(int=0))], "per_second": 0}, "per_second"),
        ({"action": "retry", "ids": [str(UUID(int=0))], "dry_run": "yes"}, "dry_run"),
    ],
)
async def test_a_bad_request_is_named(api: Api, request_: Fields, field: str) -> None:
    ada = await api.a_user()
    answer = await ada.client.post("/v1/jobs/bulk", json=request_)
    status, code, details = error_of(answer)
    assert (status, code, details[0]["field"]) == (400, "VALIDATION_ERROR", field)


async def test_too_many_are_refused_and_so_is_what_cannot_be_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.a_user()
    batch = {"jobs": [{"type": "mock", "run_at": "2100-01-01T00:00:00Z"}] * 4}
    await ada.client.post("/v1/jobs/batch", json=batch)
    request = {"action": "cancel", "filter": {"type": ["mock"]}}
    monkeypatch.setattr(rules, "MOST_MATCHED", 3)
    monkeypatch.setattr(operations, "MOST_MATCHED", 3)
    for dry_run in (True, False):
        answer = await ada.client.post("/v1/jobs/bulk", json={**request, "dry_run": dry_run})
        assert "more than 3 jobs" in answer.json()["error"]["message"]
    monkeypatch.setattr(operations, "COUNT_TIMEOUT_MS", 50)
    async with api.store.database.hot() as other, other.transaction():
        await other.execute("lock table scheduled in access exclusive mode")
        answer = await ada.client.post("/v1/jobs/bulk", json=request)
    assert (error_of(answer)[0], error_of(answer)[2][0]["field"]) == (400, "filter")
    assert "too much to be counted" in answer.text
    assert (await ada.client.get("/v1/operations")).json()["data"] == []


async def test_a_user_runs_ten_operations_at_once(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    request = {"action": "cancel", "filter": {"status": ["scheduled"]}}
    for user in (ada, eve):
        await submit(user, run_at="2100-01-01T00:00:00Z")
    begun = [await bulk(ada, request) for _ in range(10)]
    refused = await ada.client.post("/v1/jobs/bulk", json=request)
    assert error_of(refused)[:2] == (409, "INVALID_STATE")
    await bulk(eve, request)
    await ada.client.post(f"/v1/operations/{begun[0]['operation_id']}/stop")
    await bulk(ada, request)
    for each in begun[1:]:
        await ends(api, ada, each)


async def some_scheduled(user: SignedUp, jobs: int) -> None:
    batch = {"jobs": [{"type": "mock", "run_at": "2100-01-01T00:00:00Z"}] * jobs}
    assert (await user.client.post("/v1/jobs/batch", json=batch)).status_code == 201


async def comes_to(user: SignedUp, url: str, status: str, done: int) -> bool:
    operation = (await user.client.get(url)).json()["data"]
    return bool(operation["status"] == status and operation["done"] >= done)


async def bulk(user: SignedUp, request: Fields) -> Fields:
    answer = await user.client.post("/v1/jobs/bulk", json=request)
    assert answer.status_code == 202, answer.text
    data: Fields = answer.json()["data"]
    return data


async def status(user: SignedUp, job_id: str) -> str:
    return str((await user.client.get(f"/v1/jobs/{job_id}")).json()["data"]["status"])


async def counted(user: SignedUp, name: str, jobs: int) -> bool:
    counts = (await user.client.get("/v1/stats")).json()["data"]["counts"]["by_status"]
    return bool(counts[name] == jobs)


async def ends(api: Api, user: SignedUp, begun: Fields) -> Fields:
    """The operation when it has ended; a worker's duty is played by hand."""
    url = f"/v1/operations/{begun['operation_id']}"
    await steps(api.store, hurried=True)
    data: Fields = (await user.client.get(url)).json()["data"]
    assert data["status"] == "done"
    assert data["done"] + sum(data["skipped"].values()) == data["matched"] == begun["matched"]
    return data
