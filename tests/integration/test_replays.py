"""Editing a job's payload, and where a replayed job comes from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from internal.adapters.postgres.statements import statement
from internal.domain.declaring import handler
from internal.domain.errors import InvalidStateError
from internal.domain.handlers import JobContext
from internal.domain.jobs import Outcome
from internal.domain.outcomes import Fail
from tests.support.api import Api, SignedUp
from tests.support.conditions import eventually
from tests.support.postgres import on_every_postgres
from tests.support.routes import JSON, error_of, finish, start, submit
from tests.support.store import ROUTES, Store, an_end
from tests.support.workers import running_worker

BEFORE = {"payload": {"user": 1}}


@handler("greet")
async def greet(job: dict[str, Any], ctx: JobContext) -> dict[str, Any]:
    if "name" not in job:
        raise Fail("whom?")
    return {"greeted": job["name"]}


async def test_a_failed_job_is_mended_and_tells_where_it_comes_from(api: Api) -> None:
    ada = await api.a_user()
    job = await submit(ada, type="greet", payload={"nme": "Ada"})
    url = f"/v1/jobs/{job['id']}"
    async with running_worker(api.store, [greet]):
        await reaches(ada, url, "failed")
        edited = await ada.client.put(f"{url}/payload", json={"payload": {"name": "Ada"}})
        assert (edited.status_code, edited.json()["data"]["status"]) == (200, "failed")
        assert edited.json()["data"]["payload"] == {"name": "Ada"}
        await ada.client.post(f"{url}/retry")
        await reaches(ada, url, "succeeded")

    assert (await ada.client.get(url)).json()["data"]["result"] == {"greeted": "Ada"}
    (replay,) = (await ada.client.get(f"{url}/replays")).json()["data"]
    assert replay.pop("at").endswith("Z")
    assert replay == {
        "from_status": "failed",
        "after_attempt": 1,
        "operation_id": None,
        "parent_id": None,
        "edited": True,
    }
    (earlier,) = (await ada.client.get(f"{url}/payloads")).json()["data"]
    assert (earlier["attempt"], earlier["payload"]) == (1, {"nme": "Ada"})


async def test_every_retry_is_kept(api: Api) -> None:
    ada = await api.a_user()
    url = f"/v1/jobs/{(await submit(ada))['id']}"
    assert (await ada.client.get(f"{url}/replays")).json() == {"data": [], "next_cursor": None}
    for _ in range(2):
        await ada.client.post(f"{url}/cancel")
        await ada.client.post(f"{url}/retry")
    assert (await ada.client.post(f"{url}/retry")).status_code == 409
    replays = (await ada.client.get(f"{url}/replays")).json()["data"]
    assert [each["from_status"] for each in replays] == ["canceled", "canceled"]
    assert [(each["after_attempt"], each["edited"]) for each in replays] == [(0, False)] * 2
    first = (await ada.client.get(f"{url}/replays", params={"limit": 1})).json()
    assert first["data"] == replays[:1]
    rest = {"limit": 1, "cursor": first["next_cursor"]}
    last = (await ada.client.get(f"{url}/replays", params=rest)).json()
    assert last == {"data": replays[1:], "next_cursor": None}


@pytest.mark.parametrize("fields", [{}, {"run_at": "2100-01-01T00:00:00Z"}])
async def test_a_waiting_job_is_edited_in_its_place_byte_for_byte(
    api: Api, fields: dict[str, str]
) -> None:
    ada = await api.a_user()
    job = await submit(ada, **fields)
    text = '{"sleep_ms":  1200, "result": {"é": 1.50}}'
    url, body = f"/v1/jobs/{job['id']}/payload", f'{{"payload": {text}}}'
    await ada.client.put(url, json={"payload": {}})
    answer = await ada.client.put(url, content=body, headers=JSON)
    assert answer.status_code == 200
    edited = answer.json()["data"]
    assert text in answer.text
    assert (edited["status"], edited["run_at"]) == (job["status"], job["run_at"])
    assert edited["version"] == job["version"] + 2
    # What came between two edits has never been used.
    (earlier,) = (await ada.client.get(f"/v1/jobs/{job['id']}/payloads")).json()["data"]
    assert (earlier["attempt"], earlier["payload"]) == (0, job["payload"])


async def test_what_runs_or_has_succeeded_keeps_its_payload(api: Api) -> None:
    ada = await api.a_user()
    running = str((await start(api, ada)).id)
    for job_id in (running, await finish(api, ada, Outcome.SUCCEEDED, "null")):
        answer = await ada.client.put(f"/v1/jobs/{job_id}/payload", json={"payload": {}})
        assert error_of(answer)[:2] == (409, "INVALID_STATE")
        assert (await ada.client.get(f"/v1/jobs/{job_id}/payloads")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"payload": {"sleep_ms": "long"}}, 400, "payload"),
        ({"payload": [1]}, 400, "payload"),
        ({"payload": {"result": "x" * 262_144}}, 413, "payload"),
        ({}, 400, "payload"),
        ({"payload": {}, "type": "mock"}, 400, "type"),
    ],
)
async def test_an_edit_is_checked_as_a_submission_is(
    api: Api, body: dict[str, Any], status: int, field: str
) -> None:
    ada = await api.a_user()
    job = await submit(ada)
    answer = await ada.client.put(f"/v1/jobs/{job['id']}/payload", json=body)
    assert (error_of(answer)[0], error_of(answer)[2][0]["field"]) == (status, field)
    assert (await ada.client.get(f"/v1/jobs/{job['id']}")).json()["data"]["version"] == 1


async def test_the_key_of_an_edited_job_names_the_request_that_was_sent(api: Api) -> None:
    ada = await api.a_user()
    job = await submit(ada, idempotency_key="once", payload={"sleep_ms": 1})
    edit = {"payload": {"sleep_ms": 2}}
    await ada.client.put(f"/v1/jobs/{job['id']}/payload", json=edit)
    request = {"type": "mock", "idempotency_key": "once"}
    same = await ada.client.post("/v1/jobs", json={**request, "payload": {"sleep_ms": 1}})
    other = await ada.client.post("/v1/jobs", json={**request, **edit})
    assert (same.status_code, same.json()["data"]["id"]) == (200, job["id"])
    assert other.status_code == 409


async def test_pages_of_earlier_payloads_follow_each_other(api: Api) -> None:
    ada = await api.a_user()
    job_id = await finish(api, ada, Outcome.FAILED)
    url = f"/v1/jobs/{job_id}"
    for attempt in range(2, 23):
        await ada.client.put(f"{url}/payload", json={"payload": {"sleep_ms": attempt}})
        await ada.client.post(f"{url}/retry")
        worker = await api.store.a_worker()
        (claimed,) = [
            each
            for each in await api.store.work.claim(worker, ["default"], 1000)
            if str(each.id) == job_id
        ]
        await api.store.work.finish([an_end(claimed, Outcome.FAILED)])
    await ada.client.put(f"{url}/payload", json={"payload": {}})

    first = (await ada.client.get(f"{url}/payloads")).json()
    query = {"cursor": first["next_cursor"]}
    second = (await ada.client.get(f"{url}/payloads", params=query)).json()

    seen = [each["attempt"] for each in first["data"] + second["data"]]
    assert seen == list(range(1, 23))
    assert first["data"][0]["payload"] == {}
    assert second["next_cursor"] is None


async def test_a_job_is_forgotten_with_where_it_comes_from(api: Api) -> None:
    ada = await api.a_user()
    job = await submit(ada)
    url = f"/v1/jobs/{job['id']}"
    await ada.client.put(f"{url}/payload", json={"payload": {}})
    for deed in ("cancel", "retry", "cancel"):
        await ada.client.post(f"{url}/{deed}")
    assert (await ada.client.delete(url)).status_code == 204
    async with api.store.database.hot() as connection:
        for table in ("replay", "past_payload"):
            left = f"select count(*) from {table} where job_id = $1"  # noqa: S608
            assert await connection.fetchval(left, job["id"]) == 0


@on_every_postgres
async def test_a_claim_that_meets_an_edit_leaves_the_job_to_the_next_claim(store: Store) -> None:
    """It has read the payloads as they were before."""
    actor, worker = await store.a_user(), await store.a_worker()
    job = await store.submit(actor, **BEFORE)
    async with store.database.hot() as editing:
        async with editing.transaction():
            await editing.fetch(statement("edit"), actor.user_id, job.id, '{"user": 2}')
            claiming = asyncio.create_task(store.work.claim(worker, ROUTES, 1))
            await eventually(lambda: somebody_waits(store))
        assert await claiming == []
    assert (await store.claim_one(worker)).payload == '{"user": 2}'


@on_every_postgres
async def test_an_edit_that_meets_a_claim_is_refused(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    job = await store.submit(actor, **BEFORE)
    async with store.database.hot() as claiming:
        async with claiming.transaction():
            assert await claiming.fetch(statement("claim"), worker, list(ROUTES), 1, [])
            editing = asyncio.create_task(store.commands.edit(actor, job.id, '{"user": 2}'))
            await eventually(lambda: somebody_waits(store))
        with pytest.raises(InvalidStateError):
            await editing
    assert (await store.job(actor, job.id)).payload == '{"user":1}'


@on_every_postgres
async def test_a_retry_that_meets_an_edit_has_the_new_payload(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    job = await store.submit(actor, max_attempts=1, **BEFORE)
    await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])
    async with store.database.hot() as editing:
        async with editing.transaction():
            await editing.fetch(statement("edit"), actor.user_id, job.id, '{"user": 2}')
            retrying = asyncio.create_task(store.commands.retry(actor, job.id))
            await eventually(lambda: somebody_waits(store))
        await retrying
    assert (await store.claim_one(worker)).payload == '{"user": 2}'


@on_every_postgres
async def test_edits_among_claims_are_either_refused_or_run(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    jobs = [await store.submit(actor, **BEFORE) for _ in range(60)]

    async def edited(job_id: Any) -> bool:
        try:
            await store.commands.edit(actor, job_id, '{"user": 2}')
        except InvalidStateError:
            return False
        return True

    async def claimed() -> dict[Any, str]:
        found: dict[Any, str] = {}
        while len(found) < len(jobs):
            found |= {each.id: each.payload for each in await store.work.claim(worker, ROUTES, 3)}
        return found

    edits = [edited(job.id) for job in reversed(jobs)]
    ran, *done = await asyncio.gather(claimed(), *edits)

    assert {job.id: ran[job.id] == '{"user": 2}' for job in reversed(jobs)} == dict(
        zip([job.id for job in reversed(jobs)], done, strict=True)
    )


async def reaches(user: SignedUp, url: str, status: str) -> None:
    async def reached() -> bool:
        return bool((await user.client.get(url)).json()["data"]["status"] == status)

    await eventually(reached)


async def somebody_waits(store: Store) -> bool:
    query = """
        select exists (
          select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock')
    """
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(query))
