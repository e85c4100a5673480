"""The examples of the OpenAPI document: every route has them, and they are true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from internal.adapters.calendar.cron import CronCalendar
from tests.support.api import Api, SignedUp
from tests.support.openapi import Document, examples, operations, read_document
from tests.support.routes import submit

# A request that is refused with one of these was understood.
UNDERSTOOD = {
    "EMAIL_TAKEN",
    "FORBIDDEN",
    "IDEMPOTENCY_CONFLICT",
    "INVALID_STATE",
    "QUEUE_NOT_EMPTY",
    "UNAUTHENTICATED",
}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
async def document(api: Api) -> Document:
    return await read_document(api)


def answers(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The status, media type and description of each answer that has a body."""
    for status, answer in operation["responses"].items():
        for media_type, media in answer.get("content", {}).items():
            yield status, media_type, media


def bodies(operation: dict[str, Any]) -> list[Any]:
    content = operation.get("requestBody", {}).get("content", {})
    return examples(content["application/json"]) if content else []


async def test_every_parameter_body_and_answer_has_an_example(document: Document) -> None:
    without = []
    for method, path, operation in operations(document):
        route = f"{method} {path}"
        parameters = operation.get("parameters", [])
        without += [f"{route} {each['name']}" for each in parameters if "example" not in each]
        if "requestBody" in operation and not bodies(operation):
            without.append(f"{route} body")
        without += [
            f"{route} {status}" for status, _, each in answers(operation) if not examples(each)
        ]
    assert without == []


async def test_every_parameter_is_described(document: Document) -> None:
    for _, path, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (path, parameter["name"])


async def test_an_answer_of_an_example_is_what_its_route_answers(document: Document) -> None:
    """Decoded into the route's type and written again it is the same: no field lacks or is new."""
    types = dict(_types(msgspec.Struct))
    seen = set()
    for method, path, operation in operations(document):
        for status, media_type, media in answers(operation):
            if media_type != "application/json":
                continue
            type_ = types[media["schema"]["$ref"].rpartition("/")[2]]
            for example in examples(media):
                _leave_out_result(example)
                written = msgspec.json.encode(msgspec.json.decode(json.dumps(example), type=type_))
                assert json.loads(written) == example, (method, path, status)
                seen.add(type_)
    assert len(seen) > 20


async def test_the_numbers_of_an_example_are_in_prometheus_format(document: Document) -> None:
    (text,) = examples(
        document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]["text/plain"]
    )
    names = [family.name for family in text_string_to_metric_families(text)]
    assert names == ["windlass_http_requests", "windlass_worker_running"]


async def test_a_request_of_an_example_is_accepted(api: Api, document: Document) -> None:
    user = await api.a_user()
    for method, path, operation in operations(document):
        for body in bodies(operation) or [None]:
            url = path.replace("{id}", await _id_for(path, user)) if "{id}" in path else path
            answer = await _send(user.client, method, url, operation, body)
            if answer.status_code >= 400:
                assert answer.json()["error"]["code"] in UNDERSTOOD, (method, path, answer.text)


async def test_a_refusal_of_an_example_is_what_is_answered(api: Api, document: Document) -> None:
    user = await api.a_user()
    for method, path, operation in operations(document):
        url = path.replace("{id}", str(uuid4())).replace("{name}", "nobody-made-it")
        body = next(iter(bodies(operation)), None)

        unknown = await user.client.request(method, url, params={"color": "blue"}, json=body)
        told, expected = _error(unknown), _example(operation, "400", "VALIDATION_ERROR")
        assert told["message"].startswith(expected["message"]), path
        assert told["details"][0]["field"] == expected["details"][0]["field"], path

        if "security" in operation:
            stranger = await api.client().request(method, url, json=body)
            assert _error(stranger) == _example(operation, "401", "UNAUTHENTICATED"), path
        if "404" in operation["responses"]:
            missing = await user.client.request(method, url, json=body)
            assert _error(missing)["code"] == _example(operation, "404", "NOT_FOUND")["code"], path


async def test_the_examples_tell_of_the_same_things(document: Document) -> None:
    told: set[str] = set()
    asked: set[str] = set()
    for _, _, operation in operations(document):
        for status, _, media in answers(operation):
            if status < "300":
                told.update(UUID.findall(json.dumps(examples(media))))
        parameters = operation.get("parameters", [])
        asked.update(UUID.findall(json.dumps([each["example"] for each in parameters])))
    assert len(asked) >= 5
    assert asked <= told


async def test_the_schedule_of_the_examples_runs_when_they_say(document: Document) -> None:
    schedules = document["paths"]["/v1/schedules"]["post"]
    (request,) = bodies(schedules)
    (made,) = examples(schedules["responses"]["201"]["content"]["application/json"])
    preview = document["paths"]["/v1/schedules/{id}/preview"]["get"]["responses"]["200"]
    (previewed,) = examples(preview["content"]["application/json"])

    created_at = datetime.fromisoformat(made["data"]["created_at"])
    slots = CronCalendar().slots(request["cron"], request["timezone"], created_at)
    coming = [f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in islice(slots, 3)]

    assert previewed["data"] == coming
    assert made["data"]["next_run_at"] == coming[0]


async def test_an_answer_to_wait_out_says_for_how_long(document: Document) -> None:
    for _, path, operation in operations(document):
        for status in {"429", "503"} & set(operation["responses"]):
            header = operation["responses"][status]["headers"]["Retry-After"]
            assert timedelta(seconds=header["example"]) > timedelta(), path


def _types(base: type) -> Iterator[tuple[str, type]]:
    """The types of answers by name: those of the HTTP adapter."""
    each: type
    for each in base.__subclasses__():
        if each.__module__.startswith("internal.adapters.http."):
            yield each.__name__, each
        yield from _types(each)


def _leave_out_result(answer: dict[str, Any]) -> None:
    """A job's result can be anything, in a type that is for writing only."""
    if isinstance(answer.get("data"), dict) and "result" in answer["data"]:
        answer["data"]["result"] = None


async def _id_for(path: str, user: SignedUp) -> str:
    """A new thing of the kind that the path is about."""
    kind = path.split("/")[2]
    if kind in {"jobs", "workflows"}:
        return str((await submit(user, type="email.send"))["id"])
    route, body, key = {
        "batches": ("/v1/jobs/batch", {"jobs": [{"type": "mock"}]}, "batch_id"),
        "operations": ("/v1/jobs/bulk", _a_cancel((await submit(user))["id"]), "operation_id"),
        "schedules": ("/v1/schedules", _a_schedule(), "id"),
    }[kind]
    answer = await user.client.post(route, json=body)
    return str(answer.json()["data"][key])


def _a_cancel(job_id: str) -> dict[str, Any]:
    return {"action": "cancel", "ids": [job_id]}


def _a_schedule() -> dict[str, Any]:
    return {"name": str(uuid4()), "every_ms": 1_000_000, "job": {"type": "mock"}}


async def _send(
    client: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any], body: Any
) -> httpx.Response:
    """The request with the example of every parameter that is not in its path, and this body."""
    sent: dict[str, dict[str, str]] = {"query": {}, "header": {}, "path": {}}
    for each in operation.get("parameters", []):
        value = each["example"]
        text = ",".join(value) if isinstance(value, list) else str(value)
        sent[each["in"]][each["name"]] = text
    url = path.replace("{name}", sent["path"].get("name", ""))
    return await client.request(
        method, url, params=sent["query"], headers=sent["header"], json=body
    )


def _error(answer: httpx.Response) -> dict[str, Any]:
    """What was refused, without the request that it was."""
    error: dict[str, Any] = answer.json()["error"]
    return {**error, "request_id": ""}


def _example(operation: dict[str, Any], status: str, code: str) -> dict[str, Any]:
    media = operation["responses"][status]["content"]["application/json"]
    return {**media["examples"][code]["value"]["error"], "request_id": ""}
