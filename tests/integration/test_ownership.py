"""Nobody sees or changes what is another user's.

The routes are taken from the OpenAPI document: one that is not described here fails these tests.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec

from internal.domain.jobs import Outcome, Status
from tests.support.api import Api, SignedUp
from tests.support.store import ROUTES, an_end

PUBLIC = {"signup", "login", "refresh", "logout", "health", "ready", "metrics"}
# For each route that names a job: a status of the job in which its owner may do this.
FITTING = {
    "get": Status.QUEUED,
    "attempts": Status.RUNNING,
    "why": Status.QUEUED,
    "logs": Status.RUNNING,
    "editPayload": Status.FAILED,
    "payloads": Status.FAILED,
    "replays": Status.FAILED,
    "cancel": Status.QUEUED,
    "retry": Status.CANCELED,
    "delete": Status.CANCELED,
    "workflow": Status.QUEUED,
}
# What the routes among them need to be sent.
BODIES = {"editPayload": {"payload": {"text": "eve's"}}}
# Routes of users whose requests name nothing that exists already.
NAMES_NOTHING = {
    *("me", "list", "failures", "jobTypes", "stats", "submit", "submitBatch", "ticket", "queues"),
    *("batches", "bulk", "operations", "createSchedule", "listSchedules"),
}
# Routes that name something else than a job: the tests of that thing show whose it is.
OF_OTHER_THINGS = {
    *("batch", "operation", "stopOperation"),
    *("queue", "setQueue", "deleteQueue", "pauseQueue", "resumeQueue"),
    *("getSchedule", "previewSchedule", "replaceSchedule", "runSchedule", "pauseSchedule"),
    *("resumeSchedule", "deleteSchedule"),
}
# Routes that refuse everybody but admins.
OF_ADMINS = {"invariants"}

SECRET = "ada's secret"
# In this order, since a claim takes every job that is queued.
EVERY_STATUS = (
    Status.FAILED,
    Status.SUCCEEDED,
    Status.RUNNING,
    Status.QUEUED,
    Status.SCHEDULED,
    Status.CANCELED,
)


class Operation(msgspec.Struct, frozen=True):
    """One method of one path."""

    id: str
    method: str
    path: str

    @property
    def names_a_thing(self) -> bool:
        return "{" in self.path

    @property
    def names_a_job(self) -> bool:
        return self.path.startswith(("/v1/jobs/{id}", "/v1/workflows/{id}"))

    def path_of(self, job: dict[str, Any]) -> str:
        return re.sub(r"\{[^}]*\}", job["id"], self.path)


async def operations(api: Api) -> list[Operation]:
    document = (await api.client().get("/openapi.json")).json()
    return [
        Operation(described["operationId"], method.upper(), path)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]


async def of_users(api: Api) -> list[Operation]:
    return [each for each in await operations(api) if each.id not in PUBLIC]


async def test_every_route_is_known_here(api: Api) -> None:
    found = {each.id: each for each in await operations(api)}
    naming = {each.id for each in found.values() if each.names_a_job}

    unknown = naming - set(FITTING)
    assert not unknown, f"say in FITTING what the owner's job is like for {unknown}"
    unknown = set(found) - naming - PUBLIC - NAMES_NOTHING - OF_OTHER_THINGS - OF_ADMINS
    assert not unknown, (
        f"{unknown} have no path parameter: add them to NAMES_NOTHING, to OF_ADMINS, or to PUBLIC "
        "if they need no token; those that name things in their body need a test of their own"
    )
    gone = {*FITTING, *NAMES_NOTHING, *PUBLIC, *OF_OTHER_THINGS, *OF_ADMINS} - set(found)
    assert not gone, f"no route is called {gone} any more: remove it here"


async def test_only_the_public_routes_answer_without_a_token(api: Api) -> None:
    job = await a_job(await api.a_user(), api, Status.QUEUED)
    stranger = api.client()
    for each in await of_users(api):
        answer = await stranger.request(each.method, each.path_of(job))
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED"), (
            f"{each} answers strangers: if it is meant to, add it to PUBLIC"
        )


async def test_only_admins_may_use_the_routes_of_admins(api: Api) -> None:
    ada = await api.a_user()
    for each in await operations(api):
        if each.id in OF_ADMINS:
            answer = await ada.client.request(each.method, each.path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


async def test_another_users_job_is_not_found_and_stays_as_it_was(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    jobs = [await a_job(ada, api, status) for status in EVERY_STATUS]
    nowhere = {"id": "01900000-0000-7000-8000-000000000000"}
    for each in await naming_operations(api):
        unknown = await eve.client.request(
            each.method, each.path_of(nowhere), json=BODIES.get(each.id)
        )
        for job in jobs:
            answer = await eve.client.request(
                each.method, each.path_of(job), json=BODIES.get(each.id)
            )

            assert answer.status_code == 404, f"{each} finds a {job['status']} job: {answer.text}"
            assert error_of(answer.json()) == error_of(unknown.json())
            assert await look_at(ada, job) == job, f"{each} changed a {job['status']} job"


async def test_another_users_batch_is_not_found(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    answer = await ada.client.post("/v1/jobs/batch", json={"jobs": [{"type": SECRET}]})
    batch_id = answer.json()["data"]["batch_id"]
    path = f"/v1/batches/{batch_id}"
    unknown = await eve.client.get("/v1/batches/01900000-0000-7000-8000-000000000000")
    hers = await eve.client.get(path)
    assert (hers.status_code, unknown.status_code) == (404, 404)
    assert error_of(hers.json()) == error_of(unknown.json())
    assert (await ada.client.get(path)).is_success

    assert (await eve.client.get("/v1/batches")).json()["data"] == []
    assert (await eve.client.get(f"/v1/jobs?batch={batch_id}")).json()["data"] == []


async def test_the_owner_may_do_all_of_that(api: Api) -> None:
    ada = await api.a_user()
    for each in await naming_operations(api):
        job = await a_job(ada, api, FITTING[each.id])
        answer = await ask(ada, each, job)
        assert answer.is_success, f"{each}: {answer.text}"


async def test_no_list_or_number_holds_what_is_another_users(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    jobs = [await a_job(ada, api, status) for status in EVERY_STATUS]
    schedule = {"name": SECRET, "cron": "0 0 1 1 *", "job": {"type": SECRET}}
    await ada.client.post("/v1/schedules", json=schedule)
    for each in await of_users(api):
        if each.method != "GET" or each.names_a_thing or each.id in OF_ADMINS:
            continue
        answer = await eve.client.get(each.path)
        assert answer.is_success
        for trace in (SECRET, ada.email, *(job["id"] for job in jobs)):
            assert trace not in answer.text, f"{each} shows {trace}"

    stats = (await eve.client.get("/v1/stats")).json()["data"]
    assert stats["counts"]["total"] == 0
    assert stats["oldest_queued_at"] is None
    assert {each["succeeded"] for each in stats["minutes"]} == {0}
    assert {each["wait_p95_ms"] for each in stats["minutes"]} == {None}
    own = (await ada.client.get("/v1/stats")).json()["data"]
    assert own["counts"]["total"] == len(EVERY_STATUS)
    assert sum(each["succeeded"] for each in own["minutes"]) == 1


async def test_an_idempotency_key_is_its_users_own(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    request = {"type": SECRET, "idempotency_key": "order 7"}
    first = (await ada.client.post("/v1/jobs", json=request)).json()["data"]
    batch = await eve.client.post("/v1/jobs/batch", json={"jobs": [request]})
    (other,) = batch.json()["data"]["jobs"]

    assert batch.status_code == 201
    assert not other["deduplicated"]
    assert other["id"] != first["id"]


async def test_a_cursor_shows_nothing_but_ones_own_jobs(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    await a_job(ada, api, Status.QUEUED)
    await a_job(eve, api, Status.QUEUED)
    await a_job(ada, api, Status.QUEUED)
    cursor = (await ada.client.get("/v1/jobs?limit=1")).json()["next_cursor"]
    assert cursor is not None

    answer = await eve.client.get("/v1/jobs", params={"cursor": cursor})
    assert [each["type"] for each in answer.json()["data"]] == [SECRET]
    assert answer.json()["next_cursor"] is None


async def naming_operations(api: Api) -> list[Operation]:
    return [each for each in await of_users(api) if each.names_a_job]


async def ask(user: SignedUp, each: Operation, job: dict[str, Any]) -> httpx.Response:
    body = BODIES.get(each.id)
    return await user.client.request(each.method, each.path_of(job), json=body)


async def a_job(owner: SignedUp, api: Api, status: Status) -> dict[str, Any]:
    """A job of this user that has come to a status."""
    request: dict[str, Any] = {
        "type": SECRET,
        "queue": SECRET,
        "payload": {"text": SECRET},
        "tags": [SECRET],
        "max_attempts": 1,
    }
    if status is Status.SCHEDULED:
        request["run_at"] = "2100-01-01T00:00:00Z"
    job = (await owner.client.post("/v1/jobs", json=request)).json()["data"]
    if status is Status.CANCELED:
        await owner.client.post(f"/v1/jobs/{job['id']}/cancel")
    if status in {Status.RUNNING, Status.SUCCEEDED, Status.FAILED}:
        worker = await api.store.a_worker()
        claimed = await api.store.work.claim(worker, [*ROUTES, f"pull:{SECRET}"], 1_000)
        if status is Status.SUCCEEDED:
            await api.store.work.finish([an_end(each) for each in claimed])
        if status is Status.FAILED:
            await api.store.work.finish([an_end(each, Outcome.FAILED) for each in claimed])
    job = await look_at(owner, job)
    assert job["status"] == status
    return job


async def look_at(owner: SignedUp, job: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = (await owner.client.get(f"/v1/jobs/{job['id']}")).json()["data"]
    return data


def error_of(body: dict[str, Any]) -> dict[str, Any]:
    """The error without what differs between any two requests."""
    return {**body["error"], "request_id": None}
