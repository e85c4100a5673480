"""The routes of jobs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import ClaimedJob
from tests.support.api import Api, SignedUp
from tests.support.store import an_end

JSON = {"Content-Type": "application/json"}
JOB_FIELDS = [
    "id", "type", "queue", "priority", "status", "attempts", "max_attempts", "run_at", "backoff",
    "timeout_ms", "idempotency_key", "tags", "payload", "result", "last_error", "progress",
    "cancel_requested_at", "version", "created_at", "updated_at", "started_at", "finished_at",
]  # fmt: skip
LEFT_OUT = {"payload", "result", "backoff", "last_error"}
PREVIEWS = {"payload_preview", "error_preview"}


async def submit(user: SignedUp, **fields: Any) -> dict[str, Any]:
    answer = await user.client.post("/v1/jobs", json={"type": "mock", **fields})
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()["data"]
    return job


async def start(api: Api, user: SignedUp, **fields: Any) -> ClaimedJob:
    """A job that a worker runs."""
    return await claim(api, (await submit(user, **fields))["id"])


async def claim(api: Api, job_id: str) -> ClaimedJob:
    """Claim until it is this one's turn: other tests of the module leave jobs behind."""
    worker = await api.store.a_worker()
    while claimed := await api.store.work.claim(worker, ("default",), 1000):
        for each in claimed:
            if str(each.id) == job_id:
                return each
    raise AssertionError("the job is not in line")


async def finish(api: Api, user: SignedUp, outcome: Outcome, result: str | None = None) -> str:
    """The id of a job that ended in this way."""
    claimed = await start(api, user, max_attempts=1)
    await api.store.work.finish([an_end(claimed, outcome, result=result)])
    return str(claimed.id)


def error_of(answer: httpx.Response) -> tuple[int, str, list[dict[str, Any]]]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["details"]


async def test_a_job_is_answered_with_every_field_and_its_default(api: Api) -> None:
    job = await submit(await api.a_user())
    assert list(job) == [*JOB_FIELDS, "deduplicated"]
    assert UUID(job["id"]).version == 7
    assert (job["queue"], job["priority"], job["status"]) == ("default", "medium", "queued")
    assert (job["attempts"], job["max_attempts"], job["version"]) == (0, 3, 1)
    expected = {"strategy": "exponential", "base_ms": 2000, "max_ms": 60000, "jitter": 0.0}
    assert job["backoff"] == expected
    assert (job["payload"], job["tags"], job["deduplicated"]) == ({}, [], False)
    assert all(job[name].endswith("Z") for name in ("run_at", "created_at", "updated_at"))


async def test_every_field_of_a_submission_is_kept(api: Api) -> None:
    user = await api.a_user()
    fields = {
        "payload": {"sleep_ms": 1},
        "queue": "mail",
        "priority": "high",
        "run_at": "2199-01-01T00:00:00Z",
        "max_attempts": 7,
        "backoff": {"strategy": "fixed", "base_ms": 10, "max_ms": 20, "jitter": 0.5},
        "timeout_ms": 1234,
        "idempotency_key": "once",
        "tags": ["a", "b"],
    }
    job = await submit(user, **fields)
    assert {name: job[name] for name in fields} == fields
    assert job["status"] == "scheduled"


async def test_what_a_submission_answers_is_what_a_look_answers(api: Api) -> None:
    user = await api.a_user()
    for fields in ({}, {"run_at": "2199-01-01T00:00:00Z", "tags": ["x"]}, {"idempotency_key": "k"}):
        job = await submit(user, **fields)
        del job["deduplicated"]
        assert (await user.client.get(f"/v1/jobs/{job['id']}")).json()["data"] == job


async def test_an_unknown_type_is_accepted_and_waits(api: Api) -> None:
    assert (await submit(await api.a_user(), type="not.installed"))["status"] == "queued"


PAYLOAD = (
    b'{"n": 12345678901234567890123, "x":1.10,  "t":"\\u0000\\u00e9\xc3\xa9", "a": {"a":1,"a":2}}'
)


async def test_payload_and_result_come_back_as_the_bytes_that_were_sent(api: Api) -> None:
    user = await api.a_user()
    body = b'{"type": "not.installed", "payload": %s}' % PAYLOAD
    answer = await user.client.post("/v1/jobs", content=body, headers=JSON)
    assert b'"payload":' + PAYLOAD + b"," in answer.content
    seen = await user.client.get(f"/v1/jobs/{answer.json()['data']['id']}")
    assert b'"payload":' + PAYLOAD + b"," in seen.content
    ended = await finish(api, user, Outcome.SUCCEEDED, result='{"n":  1.10}')
    seen = await user.client.get(f"/v1/jobs/{ended}")
    assert b'"result":{"n":  1.10},' in seen.content


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": ""}, "type"),
        ({"type": "x" * 201}, "type"),
        ({"type": "a\nb"}, "type"),
        ({"type": None}, "type"),
        ({"payload": []}, "payload"),
        ({"payload": "text"}, "payload"),
        ({"payload": None}, "payload"),
        ({"payload": {"sleep_ms": "long"}}, "payload"),
        ({"queue": ""}, "queue"),
        ({"queue": "x" * 101}, "queue"),
        ({"queue": "a\0b"}, "queue"),
        ({"priority": "urgent"}, "priority"),
        ({"run_at": "2026-01-01"}, "run_at"),
        ({"run_at": "2026-01-01T00:00:00"}, "run_at"),
        ({"run_at": "2201-01-01T00:00:00Z"}, "run_at"),
        ({"run_at": 5}, "run_at"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 101}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"backoff": {"jitter": 2}}, "backoff.jitter"),
        ({"backoff": {"base_ms": 0}}, "backoff.base_ms"),
        ({"backoff": {"nope": 0}}, "backoff.nope"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"tags": ["x"] * 21}, "tags"),
        ({"tags": ["x" * 51]}, "tags[0]"),
        ({"nope": 1}, "nope"),
        ({"id": "x"}, "id"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_bad_field_is_named_and_nothing_is_kept(
    api: Api, fields: dict[str, Any], field: str
) -> None:
    user = await api.a_user()
    bad = {"type": "mock", **fields}
    status, code, details = error_of(await user.client.post("/v1/jobs", json=bad))
    assert (status, code, [each["field"] for each in details]) == (400, "VALIDATION_ERROR", [field])
    batch = {"jobs": [{"type": "mock"}, bad]}
    status, code, details = error_of(await user.client.post("/v1/jobs/batch", json=batch))
    assert (status, code) == (400, "VALIDATION_ERROR")
    assert [(each["index"], each["field"]) for each in details] == [(1, field)]
    assert (await user.client.get("/v1/jobs")).json()["data"] == []


async def test_a_large_payload_is_refused_and_one_at_the_limit_is_not(api: Api) -> None:
    user = await api.a_user()
    largest = {"type": "x", "payload": {"text": "x" * (262_144 - len('{"text": ""}'))}}
    # httpx leaves out the space that the default of `json` puts in.
    assert (await user.client.post("/v1/jobs", json=largest)).status_code == 201
    too_large = {"type": "x", "payload": {"text": "x" * 400_000}}
    status, code, details = error_of(await user.client.post("/v1/jobs", json=too_large))
    assert (status, code, details[0]["field"]) == (413, "PAYLOAD_TOO_LARGE", "payload")
    batch = {"jobs": [{"type": "x"}, too_large]}
    status, code, details = error_of(await user.client.post("/v1/jobs/batch", json=batch))
    assert (status, code, details[0]["index"]) == (413, "PAYLOAD_TOO_LARGE", 1)
    assert len((await user.client.get("/v1/jobs")).json()["data"]) == 1


async def test_the_same_key_and_request_give_the_job_that_exists(api: Api) -> None:
    user = await api.a_user()
    job = await submit(user, idempotency_key="once", payload={"sleep_ms": 5})
    body = b'{ "payload" : {"sleep_ms":5}, "idempotency_key": "once", "type": "mock" }'
    again = await user.client.post("/v1/jobs", content=body, headers=JSON)
    assert again.status_code == 200
    assert again.json()["data"] == job | {"deduplicated": True}


async def test_the_same_key_for_another_request_is_a_conflict(api: Api) -> None:
    user = await api.a_user()
    await submit(user, idempotency_key="once")
    other = {"type": "mock", "idempotency_key": "once", "queue": "other"}
    status, code, details = error_of(await user.client.post("/v1/jobs", json=other))
    assert (status, code) == (409, "IDEMPOTENCY_CONFLICT")
    assert [each["field"] for each in details] == ["idempotency_key"]


async def test_the_header_is_the_same_as_the_field(api: Api) -> None:
    user = await api.a_user()
    key = {"Idempotency-Key": "once"}
    sent = [
        await user.client.post("/v1/jobs", json={"type": "mock"}, headers=key),
        await user.client.post("/v1/jobs", json={"type": "mock", "idempotency_key": "once"}),
        await user.client.post(
            "/v1/jobs", json={"type": "mock", "idempotency_key": "once"}, headers=key
        ),
    ]
    assert [answer.status_code for answer in sent] == [201, 200, 200]
    assert len({answer.json()["data"]["id"] for answer in sent}) == 1


async def test_a_header_that_contradicts_the_field_is_refused(api: Api) -> None:
    user = await api.a_user()
    body = {"type": "mock", "idempotency_key": "one"}
    answer = await user.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "other"})
    assert error_of(answer)[:2] == (400, "VALIDATION_ERROR")


async def test_a_key_in_the_header_may_be_any_utf_8(api: Api) -> None:
    user = await api.a_user()
    headers = [(b"Idempotency-Key", "gr\u00fc\u00df".encode())]
    first = await user.client.post("/v1/jobs", json={"type": "mock"}, headers=headers)
    again = {"type": "mock", "idempotency_key": "gr\u00fc\u00df"}
    assert (await user.client.post("/v1/jobs", json=again)).json()["data"]["deduplicated"] is True
    assert first.json()["data"]["idempotency_key"] == "gr\u00fc\u00df"
    for wrong in (b"", b"x" * 201, b"\xff"):
        answer = await user.client.post(
            "/v1/jobs", json={"type": "mock"}, headers=[(b"Idempotency-Key", wrong)]
        )
        assert error_of(answer)[2][0]["field"] == "Idempotency-Key"


async def test_one_key_of_many_submissions_at_once_is_one_job(api: Api) -> None:
    user = await api.a_user()
    body = {"type": "mock", "idempotency_key": "race"}
    answers = await asyncio.gather(*(user.client.post("/v1/jobs", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1


async def test_two_users_may_use_the_same_key(api: Api) -> None:
    for user in (await api.a_user(), await api.a_user()):
        await submit(user, idempotency_key="mine")


async def test_a_batch_is_answered_in_its_order(api: Api) -> None:
    user = await api.a_user()
    jobs: list[dict[str, Any]] = [{"type": "mock", "tags": [str(number)]} for number in range(50)]
    jobs[7]["run_at"] = "2199-01-01T00:00:00Z"
    answer = await user.client.post("/v1/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 201
    batch = answer.json()["data"]
    UUID(batch["batch_id"])
    assert [each["status"] for each in batch["jobs"]].index("scheduled") == 7
    assert all(set(each) == {"id", "status", "deduplicated"} for each in batch["jobs"])
    for number in (0, 7, 49):
        job = await user.client.get(f"/v1/jobs/{batch['jobs'][number]['id']}")
        assert job.json()["data"]["tags"] == [str(number)]


async def test_keys_within_a_batch_name_one_job(api: Api) -> None:
    user = await api.a_user()
    existing = await submit(user, idempotency_key="old")
    keyed = {"type": "mock", "idempotency_key": "new"}
    jobs = [keyed, {"type": "mock"}, keyed, {"type": "mock", "idempotency_key": "old"}]
    answer = await user.client.post("/v1/jobs/batch", json={"jobs": jobs})
    given = answer.json()["data"]["jobs"]
    assert [each["deduplicated"] for each in given] == [False, False, True, True]
    assert given[2]["id"] == given[0]["id"]
    assert given[3]["id"] == existing["id"]


async def test_a_conflict_within_a_batch_names_the_job_and_keeps_none(api: Api) -> None:
    user = await api.a_user()
    await submit(user, idempotency_key="old")
    same = {"type": "mock", "idempotency_key": "new"}
    conflicts: list[tuple[list[dict[str, Any]], int]] = [
        ([{"type": "mock"}, same, same | {"queue": "other"}], 2),
        ([{"type": "mock"}, same, same, {"type": "x", "idempotency_key": "old"}], 3),
    ]
    for jobs, index in conflicts:
        status, code, details = error_of(
            await user.client.post("/v1/jobs/batch", json={"jobs": jobs})
        )
        assert (status, code, details[0]["index"]) == (409, "IDEMPOTENCY_CONFLICT", index)
    assert len((await user.client.get("/v1/jobs")).json()["data"]) == 1


async def test_a_batch_names_every_fault(api: Api) -> None:
    user = await api.a_user()
    bad = {"type": "mock", "payload": {"sleep_ms": -1}}
    jobs = [{"type": "mock"}, bad, {"type": "mock"}, bad]
    _, _, details = error_of(await user.client.post("/v1/jobs/batch", json={"jobs": jobs}))
    assert [each["index"] for each in details] == [1, 3]


@pytest.mark.parametrize("count", [0, 10_001])
async def test_a_batch_has_1_to_10000_jobs(api: Api, count: int) -> None:
    user = await api.a_user()
    answer = await user.client.post("/v1/jobs/batch", json={"jobs": [{"type": "mock"}] * count})
    assert error_of(answer)[:2] == (400, "VALIDATION_ERROR")


async def test_a_batch_of_10000_is_taken_in(api: Api) -> None:
    user = await api.a_user()
    answer = await user.client.post("/v1/jobs/batch", json={"jobs": [{"type": "x"}] * 10_000})
    assert answer.status_code == 201
    assert len({each["id"] for each in answer.json()["data"]["jobs"]}) == 10_000


async def test_a_batch_refuses_a_key_for_all_of_it(api: Api) -> None:
    user = await api.a_user()
    batch = {"jobs": [{"type": "mock"}]}
    answer = await user.client.post(
        "/v1/jobs/batch", json=batch, headers={"Idempotency-Key": "once"}
    )
    assert error_of(answer)[:2] == (400, "VALIDATION_ERROR")


async def test_a_list_shows_summaries_the_newest_first(api: Api) -> None:
    user = await api.a_user()
    ids = [(await submit(user, payload={"sleep_ms": 7}))["id"] for _ in range(3)]
    answer = (await user.client.get("/v1/jobs")).json()
    assert [job["id"] for job in answer["data"]] == ids[::-1]
    assert answer["next_cursor"] is None
    summary = answer["data"][0]
    assert set(summary) == (set(JOB_FIELDS) - LEFT_OUT) | PREVIEWS
    assert (summary["payload_preview"], summary["error_preview"]) == ('{"sleep_ms":7}', None)


async def test_pages_follow_each_other_without_gap_or_repeat(api: Api) -> None:
    user = await api.a_user()
    await user.client.post("/v1/jobs/batch", json={"jobs": [{"type": "mock"}] * 25})
    queries: list[dict[str, str]] = [{}, {"status": "queued,running"}]
    for query in queries:
        seen: list[str] = []
        cursor = None
        while True:
            page = {"limit": "10", **query, **({"cursor": cursor} if cursor else {})}
            answer = (await user.client.get("/v1/jobs", params=page)).json()
            seen += [job["id"] for job in answer["data"]]
            # What comes meanwhile is newer than the page, and does not shift the next one.
            await submit(user)
            if (cursor := answer["next_cursor"]) is None:
                break
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen, reverse=True)
        assert len(seen) >= 25


async def test_a_page_has_20_jobs_and_at_most_200(api: Api) -> None:
    user = await api.a_user()
    await user.client.post("/v1/jobs/batch", json={"jobs": [{"type": "mock"}] * 30})
    assert len((await user.client.get("/v1/jobs")).json()["data"]) == 20
    assert len((await user.client.get("/v1/jobs?limit=200")).json()["data"]) == 30
    for limit in ("0", "201", "-1", "ten", "1.5", "", "1e1", "\u0661", "9" * 5000):
        answer = await user.client.get("/v1/jobs", params={"limit": limit})
        assert error_of(answer)[2][0]["field"] == "limit", limit


@pytest.mark.parametrize(
    "cursor",
    ["", "nonsense", "x" * 22 + "!", "AAAAAAAAAAAAAAAAAAAAAB", "\u00e9" * 22, "0" * 500],
)
async def test_a_bad_cursor_is_refused(api: Api, cursor: str) -> None:
    user = await api.a_user()
    status, code, details = error_of(await user.client.get("/v1/jobs", params={"cursor": cursor}))
    assert (status, code, details[0]["field"]) == (400, "VALIDATION_ERROR", "cursor")


async def test_filters_narrow_a_list_each_in_its_way(api: Api) -> None:
    user = await api.a_user()
    failed = await finish(api, user, Outcome.FAILED)
    plain = (await submit(user))["id"]
    mail = (await submit(user, type="mail.send", queue="mail", priority="high", tags=["eu"]))["id"]
    later = (await submit(user, run_at="2199-01-01T00:00:00Z", tags=["eu", "vip"]))["id"]
    worker = (await user.client.get(f"/v1/jobs/{failed}/attempts")).json()["data"][0]["worker"]
    hour = timedelta(hours=1)
    ago, ahead = datetime.now(UTC) - hour, datetime.now(UTC) + hour
    expected: dict[str, set[str]] = {
        "status=scheduled": {later},
        "status=scheduled,failed": {later, failed},
        "status=failed,failed,scheduled&limit=2": {later, failed},
        "queue=mail": {mail},
        "queue=mail,default": {plain, mail, later, failed},
        "type=mail.send": {mail},
        "priority=high,low": {mail},
        "tag=eu": {mail, later},
        "tag=vip": {later},
        "tag=eu&status=queued": {mail},
        f"worker={worker}": {failed},
        f"created_after={ahead:%Y-%m-%dT%H:%M:%SZ}": set(),
        f"created_after={ago:%Y-%m-%dT%H:%M:%SZ}&type=mail.send": {mail},
        f"created_before={ago:%Y-%m-%dT%H:%M:%SZ}": set(),
        f"finished_after={ago:%Y-%m-%dT%H:%M:%SZ}": {failed},
        f"finished_before={ahead:%Y-%m-%dT%H:%M:%SZ}": {failed},
        f"finished_before={ago:%Y-%m-%dT%H:%M:%SZ}": set(),
        f"finished_after={ago:%Y-%m-%dT%H:%M:%SZ}&status=queued": set(),
        "queue=nope": set(),
    }
    for query, ids in expected.items():
        answer = await user.client.get(f"/v1/jobs?{query}")
        assert {job["id"] for job in answer.json()["data"]} == ids, query


async def test_every_filter_goes_with_every_status(api: Api) -> None:
    user = await api.a_user()
    day = "2026-01-31T12:00:00Z"
    filters = {
        "queue": "a,b", "type": "a,b", "priority": "high,low", "tag": "a,b", "worker": "a,b",
        "created_after": day, "created_before": day, "finished_after": day, "finished_before": day,
        "cursor": "A" * 22, "limit": "1",
    }  # fmt: skip
    for status in Status:
        for name, value in filters.items():
            answer = await user.client.get(f"/v1/jobs?status={status}&{name}={value}")
            assert (answer.status_code, answer.json()["data"]) == (200, []), (status, name)
        answer = await user.client.get("/v1/jobs", params={"status": status, **filters})
        assert (answer.status_code, answer.json()["data"]) == (200, []), status


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=nope", "status"),
        ("status=queued,nope", "status"),
        ("status=", "status"),
        ("priority=normal", "priority"),
        ("queue=%00", "queue"),
        ("tag=" + "x" * 51, "tag"),
        ("status=" + ",".join(["queued"] * 101), "status"),
        ("worker=" + ",".join(["x"] * 101), "worker"),
        ("created_after=yesterday", "created_after"),
        ("created_after=1700000000", "created_after"),
        ("finished_before=2026-01-01T00:00:00", "finished_before"),
        ("created_after=0001-01-01T00:00:00%2B23:59", "created_after"),
        ("finished_before=9999-12-31T23:59:59-23:59", "finished_before"),
        ("payload=x", "payload"),
    ],
)
async def test_a_bad_filter_is_named(api: Api, query: str, field: str) -> None:
    user = await api.a_user()
    status, code, details = error_of(await user.client.get(f"/v1/jobs?{query}"))
    assert (status, code, details[0]["field"]) == (400, "VALIDATION_ERROR", field)


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
    first, second = answer["data"]
    assert set(first) == {"number", "status", "worker", "error", "started_at", "finished_at"}
    assert (first["number"], first["status"], first["error"]) == (1, "failed", "it failed")
    assert (second["number"], second["status"], second["finished_at"]) == (2, "running", None)
    assert second["worker"] != first["worker"]
    untouched = (await submit(user))["id"]
    assert (await user.client.get(f"/v1/jobs/{untouched}/attempts")).json()["data"] == []


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
