"""What can be done with a job, and what is told about all of them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from internal.domain.jobs import Outcome
from tests.support.api import Api
from tests.support.routes import (
    claim,
    error_of,
    finish,
    start,
    submit,
)


async def test_a_waiting_job_is_canceled_at_once(api: Api) -> None:
    user = await api.a_user()
    job = await submit(user)
    answer = await user.client.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "canceled")
    assert answer.json()["data"]["version"] > job["version"]
    again = await user.client.post(f"/v1/jobs/{job['id']}/cancel")
    assert error_of(again)[:2] == (409, "INVALID_STATE")


async def test_a_running_job_is_asked_to_stop(api: Api) -> None:
    user = await api.a_user()
    claimed = await start(api, user)
    for _ in range(2):
        answer = await user.client.post(f"/v1/jobs/{claimed.id}/cancel")
        assert answer.status_code == 202
        assert answer.json()["data"]["status"] == "running"
        assert answer.json()["data"]["cancel_requested_at"].endswith("Z")


async def test_a_failed_or_canceled_job_is_queued_again_with_an_attempt_left(api: Api) -> None:
    user = await api.a_user()
    failed = await finish(api, user, Outcome.FAILED)
    answer = await user.client.post(f"/v1/jobs/{failed}/retry")
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "queued")
    assert answer.json()["data"]["max_attempts"] == 2
    canceled = (await submit(user))["id"]
    await user.client.post(f"/v1/jobs/{canceled}/cancel")
    assert (await user.client.post(f"/v1/jobs/{canceled}/retry")).status_code == 200


async def test_only_failed_and_canceled_jobs_are_retried(api: Api) -> None:
    user = await api.a_user()
    for job_id in ((await submit(user))["id"], await finish(api, user, Outcome.SUCCEEDED)):
        answer = await user.client.post(f"/v1/jobs/{job_id}/retry")
        assert error_of(answer)[:2] == (409, "INVALID_STATE")


async def test_a_finished_job_can_be_forgotten_and_frees_its_key(api: Api) -> None:
    user = await api.a_user()
    job = await submit(user, idempotency_key="once")
    url = f"/v1/jobs/{job['id']}"
    assert error_of(await user.client.delete(url))[:2] == (409, "INVALID_STATE")
    await user.client.post(f"{url}/cancel")
    answer = await user.client.delete(url)
    assert (answer.status_code, answer.content) == (204, b"")
    for gone in (await user.client.delete(url), await user.client.get(url)):
        assert error_of(gone)[:2] == (404, "NOT_FOUND")
    assert (await submit(user, idempotency_key="once"))["deduplicated"] is False


async def test_attempts_tell_how_each_start_ended(api: Api) -> None:
    user = await api.a_user()
    failed = await finish(api, user, Outcome.FAILED)
    await user.client.post(f"/v1/jobs/{failed}/retry")
    await claim(api, failed)
    answer = (await user.client.get(f"/v1/jobs/{failed}/attempts")).json()
    assert answer["next_cursor"] is None
    second, first = answer["data"]
    assert set(first) == {
        *("number", "status", "worker", "error", "progress", "progress_note"),
        *("started_at", "finished_at"),
    }
    assert (first["number"], first["status"], first["error"]) == (1, "failed", "it failed")
    assert (second["number"], second["status"], second["finished_at"]) == (2, "running", None)
    assert second["worker"] != first["worker"]
    untouched = (await submit(user))["id"]
    assert (await user.client.get(f"/v1/jobs/{untouched}/attempts")).json()["data"] == []


async def test_attempts_are_read_in_pages_the_newest_first(api: Api) -> None:
    user = await api.a_user()
    job = (await submit(user, max_attempts=100))["id"]
    query = """
        insert into attempt (job_id, number, user_id, status, worker_id, started_at, finished_at)
        select id, n, user_id, 6, 'w', now(), now()
        from job, generate_series(1, 250) n
        where id = $1
    """
    async with api.store.database.hot() as connection:
        await connection.execute(query, job)
    numbers: list[int] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        asked: dict[str, Any] = {"limit": 100, **({} if cursor is None else {"cursor": cursor})}
        answer = (await user.client.get(f"/v1/jobs/{job}/attempts", params=asked)).json()
        numbers += [each["number"] for each in answer["data"]]
        cursor, pages = answer["next_cursor"], pages + 1

    assert (numbers, pages) == (list(range(250, 0, -1)), 3)
    plain = (await user.client.get(f"/v1/jobs/{job}/attempts")).json()["data"]
    assert [each["number"] for each in plain] == list(range(250, 230, -1))
    for refused in ("limit=201", "limit=0", "cursor=nope"):
        answer = await user.client.get(f"/v1/jobs/{job}/attempts?{refused}")
        assert answer.status_code == 400


@pytest.mark.parametrize("at", ["29405-12-25", "0439-01-01 BC", "infinity", "-infinity"])
async def test_a_time_that_python_cannot_hold_stops_no_answer(api: Api, at: str) -> None:
    user = await api.a_user()
    job = (await submit(user, run_at="2100-01-01T00:00:00Z"))["id"]
    other = (await submit(user))["id"]
    async with api.store.database.hot() as connection:
        query = "update scheduled set run_at = $2::text::timestamptz where job_id = $1"
        await connection.execute(query, job, at)

    listed = await user.client.get("/v1/jobs")
    assert [each["id"] for each in listed.json()["data"]] == [other, job]
    for path in ("", "/why", "/attempts"):
        assert (await user.client.get(f"/v1/jobs/{job}{path}")).status_code == 200
    assert (await user.client.post(f"/v1/jobs/{job}/cancel")).status_code == 200
    assert (await user.client.delete(f"/v1/jobs/{job}")).status_code == 204


async def test_the_installed_types_come_with_their_schemas(api: Api) -> None:
    user = await api.a_user()
    types = (await user.client.get("/v1/job-types")).json()["data"]
    assert [each["type"] for each in types] == ["http", "mock"]
    assert all(set(each) == {"type", "description", "schema"} for each in types)
    assert "sleep_ms" in str(types[1]["schema"])


async def test_the_numbers_have_the_shape_of_the_contract(api: Api) -> None:
    user = await api.a_user()
    await submit(user)
    await finish(api, user, Outcome.SUCCEEDED)
    await api.store.upkeep.fold_counters(1000)
    stats = (await user.client.get("/v1/stats")).json()["data"]
    assert set(stats) == {"counts", "oldest_queued_at", "minutes", "server_time"}
    counts = stats["counts"]
    assert set(counts) == {"by_status", "total", "approximate"}
    assert counts["by_status"]["succeeded"] == 1
    assert counts["total"] == sum(counts["by_status"].values()) == 2
    assert len(stats["minutes"]) == 60
    expected = {"at", "succeeded", "failed", "wait_p50_ms", "wait_p95_ms"}
    assert all(set(each) == expected for each in stats["minutes"])
    assert stats["server_time"].endswith("Z")


async def test_a_ticket_works_once(api: Api) -> None:
    user = await api.a_user()
    answer = await user.client.post("/v1/ws/ticket")
    assert (answer.status_code, answer.json()["data"]["expires_in"]) == (201, 30)
    ticket = answer.json()["data"]["ticket"]
    tickets = api.tickets
    actor = await tickets.redeem(ticket)
    assert actor is not None
    assert str(actor.user_id) == user.session["user"]["id"]
    assert await tickets.redeem(ticket) is None
    assert await tickets.redeem(str(uuid4())) is None


async def test_a_ticket_ends_with_its_time_or_its_session(api: Api) -> None:
    user = await api.a_user()
    late = (await user.client.post("/v1/ws/ticket")).json()["data"]["ticket"]
    await api.store.execute("update ticket set expires_at = now() - interval '1 second'")
    assert await api.tickets.redeem(late) is None
    ticket = (await user.client.post("/v1/ws/ticket")).json()["data"]["ticket"]
    await user.client.post("/v1/logout", json={"refresh_token": user.session["refresh_token"]})
    assert await api.tickets.redeem(ticket) is None
    assert error_of(await user.client.post("/v1/ws/ticket"))[:2] == (401, "UNAUTHENTICATED")
