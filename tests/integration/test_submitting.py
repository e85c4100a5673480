"""Submitting jobs, one and many."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from internal.domain.jobs import Outcome
from tests.support.api import Api
from tests.support.routes import (
    JOB_FIELDS,
    JSON,
    error_of,
    finish,
    submit,
)


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
        ({"run_at": "2100-01-01T00:00:00Z", "delay_ms": 5}, "delay_ms"),
        ({"delay_ms": -1}, "delay_ms"),
        ({"run_at": "2100-01-02T00:00:00Z", "expires_at": "2100-01-01T00:00:00Z"}, "expires_at"),
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
