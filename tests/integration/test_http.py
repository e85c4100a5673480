"""What every route shares: errors, limits, headers."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.api import Api, running_api
from tests.support.conditions import eventually

JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer, whose shape is that of API.md."""
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    return error


async def send(api: Api, body: bytes, **headers: str) -> httpx.Response:
    return await api.client().post("/v1/signup", content=body, headers=JSON | headers)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is required"),
        (b"{", "ends too early"),
        (b'{"email": "a@b",}', "is not valid JSON"),
        (b'{"email": "\\ud800"}', "surrogate"),
        (b'{"email": "a@b", "password": "\xff\xfe"}', "is not UTF-8"),
        (b'{"email": ' + b"[" * 100_000, "email must be a string"),
        (b"\xef\xbb\xbf{}", "is not valid JSON"),
        (b"nonsense", "is not valid JSON"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b'{"email": "a@b", "password": "correct horse"} {}', "is not valid JSON"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_body_that_cannot_be_read_is_refused(api: Api, body: bytes, says: str) -> None:
    answer = await send(api, body)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert says in error["message"]
    assert error["details"]


async def test_brackets_without_end_are_refused_wherever_they_stand(api: Api) -> None:
    user = await api.a_user()
    deep = b"[" * 100_000 + b"]" * 100_000
    bodies = (deep, b'{"type": "mock", "payload": %s}' % deep, b'{"nope": %s}' % deep)
    for path in ("/v1/jobs", "/v1/jobs/batch"):
        for body in bodies:
            answer = await user.client.post(path, content=body, headers=JSON)
            assert (answer.status_code, error_of(answer)["code"]) == (400, "VALIDATION_ERROR")
    assert (await user.client.get("/v1/jobs")).json()["data"] == []


async def test_every_fault_of_a_field_names_the_field(api: Api) -> None:
    answer = await send(api, b'{"email": "a@b", "password": 12345678}')
    assert error_of(answer)["details"] == [
        {"field": "password", "message": "must be a string, not an integer"}
    ]


async def test_unknown_fields_are_refused(api: Api) -> None:
    answer = await send(api, b'{"email": "a@b", "password": "correct horse", "admin": true}')
    assert error_of(answer)["details"] == [{"field": "admin", "message": "is not a known field"}]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
        'application/json; charset="utf-8"',
    ],
)
async def test_json_is_json_however_it_is_called(api: Api, content_type: str) -> None:
    answer = await send(api, b"{}", **{"Content-Type": content_type})
    assert error_of(answer)["message"] == "email is required"


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/json; charset=latin-1", "application/x-www-form-urlencoded",
     "multipart/form-data; boundary=x", "application/msgpack", "application/jsonx"],
)  # fmt: skip
async def test_a_body_of_another_type_is_refused(api: Api, content_type: str) -> None:
    answer = await send(api, b"email=a@b", **{"Content-Type": content_type})
    assert (answer.status_code, error_of(answer)["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_large_body_is_refused(api: Api) -> None:
    answer = await send(api, b" " * 17 * MIB)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_large_body_is_refused_that_does_not_say_its_length(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * MIB

    answer = await api.client().post("/v1/signup", content=chunks(), headers=JSON)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("path", "mib", "status"), [("/v1/signup", 17, 413), ("/v1/jobs/batch", 12, 401)]
)
async def test_a_client_that_sends_all_before_it_reads_gets_the_reason(
    api: Api, path: str, mib: int, status: int
) -> None:
    """As most of them do; a connection that is closed on them would hide the answer."""
    url = httpx.URL(api.url)
    head = f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: application/json\r\n"
    length = f"Content-Length: {mib * MIB}\r\nConnection: close\r\n\r\n"

    def send_then_read() -> bytes:
        with socket.create_connection((url.host, url.port or 80)) as connection:
            connection.sendall(f"{head}{length}".encode() + b" " * mib * MIB)
            return connection.recv(1000)

    answer = await asyncio.to_thread(send_then_read)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("path", ["/nope", "/v1", "/v1/nope", "/v1/jobs/a/b/c", "/assets/nope.js"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_route_is_not_found(api: Api, method: str, path: str) -> None:
    answer = await api.client().request(method, path)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "NOT_FOUND")


async def test_an_unknown_method_names_the_known_ones(api: Api) -> None:
    answer = await api.client().put("/v1/jobs", content=b"{}", headers=JSON)
    assert (answer.status_code, error_of(answer)["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST"} <= set(re.findall(r"\w+", answer.headers["allow"]))


async def test_unknown_query_parameters_are_refused(api: Api) -> None:
    user = await api.a_user()
    for path in ("/health", "/openapi.json", "/v1/me", "/v1/jobs", "/v1/stats"):
        answer = await user.client.get(path, params={"nope": "1"})
        assert answer.status_code == 400, path
        assert error_of(answer)["details"][0]["field"] == "nope"


async def test_a_query_that_is_not_utf_8_is_refused(api: Api) -> None:
    user = await api.a_user()
    for query in ("type=%ff", "%ff=x", "tag=%ed%a0%80"):
        answer = await user.client.get(f"/v1/jobs?{query}")
        assert (answer.status_code, error_of(answer)["message"]) == (400, "query is not UTF-8")


async def test_a_query_parameter_given_twice_is_refused(api: Api) -> None:
    user = await api.a_user()
    answer = await user.client.get("/v1/jobs?status=failed&status=canceled")
    assert error_of(answer)["message"] == "status is given twice: separate values by commas"


@pytest.mark.parametrize("path", ["/v1/jobs/nope", "/v1/jobs/1", "/v1/jobs/nope/attempts"])
async def test_what_is_no_id_is_not_valid(api: Api, path: str) -> None:
    user = await api.a_user()
    answer = await user.client.get(path)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "VALIDATION_ERROR")
    assert error_of(answer)["details"] == [{"field": "id", "message": "must be a UUID"}]


async def test_a_sane_request_id_is_taken_over(api: Api) -> None:
    answer = await api.client().get("/health", headers={"X-Request-Id": "trace-1.a_B"})
    assert answer.headers["x-request-id"] == "trace-1.a_B"


@pytest.mark.parametrize("insane", ["", "a b", "x" * 101, "<script>", "\u00e9"])
async def test_an_insane_request_id_is_replaced(api: Api, insane: str) -> None:
    answer = await api.client().get("/health", headers=[(b"X-Request-Id", insane.encode())])
    UUID(answer.headers["x-request-id"])


async def test_every_answer_has_the_headers_that_protect_browsers(api: Api) -> None:
    for path in ("/", "/health", "/v1/me", "/nope"):
        headers = (await api.client().get(path)).headers
        assert headers["windlass-version"] == "0.0.0"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy


async def test_answers_of_the_api_are_not_kept_by_caches(api: Api) -> None:
    user = await api.a_user()
    assert (await user.client.get("/v1/me")).headers["cache-control"] == "no-store"


async def test_a_head_is_a_get_without_its_body(api: Api) -> None:
    user = await api.a_user()
    for path in ("/", "/health", "/v1/me", "/openapi.json"):
        got, headed = await user.client.get(path), await user.client.head(path)
        assert (headed.status_code, headed.content) == (200, b""), path
        assert headed.headers["content-length"] == got.headers["content-length"]


async def test_health_and_readiness_are_bare(api: Api) -> None:
    client = api.client()
    assert (await client.get("/health")).json() == {"status": "ok"}
    assert (await client.get("/ready")).json() == {"status": "ready"}


async def test_metrics_tell_of_each_live_worker(api: Api) -> None:
    work, ttl = api.store.work, timedelta(seconds=30)
    alive, dead = await api.store.a_worker(), await api.store.a_worker()
    await work.beat(alive, ttl, running=7, lag_ms=1500)
    await api.store.expire(dead)

    metrics = (await api.client().get("/metrics")).text

    assert f'windlass_worker_slots{{worker="{alive}"}} 100.0' in metrics
    assert f'windlass_worker_running{{worker="{alive}"}} 7.0' in metrics
    assert f'windlass_worker_loop_lag_seconds{{worker="{alive}"}} 1.5' in metrics
    assert dead not in metrics


async def test_metrics_count_requests_by_route_and_not_by_path(api: Api) -> None:
    user = await api.a_user()
    await user.client.get("/v1/jobs/01a20553-0612-773b-8e86-40ec3bb0c2ae")
    await user.client.request("PROPFIND", "/health")
    metrics = (await user.client.get("/metrics")).text
    route = 'method="GET",route="/v1/jobs/{id}"'
    assert f'windlass_http_requests_total{{{route},status="404"}} 1.0' in metrics
    assert f"windlass_http_request_seconds_count{{{route}}}" in metrics
    assert "01a20553" not in metrics
    assert "PROPFIND" not in metrics


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error_of_ours(
    database_url: str,
) -> None:
    head = "POST /v1/login HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    async with running_api(database_url) as api:
        url = httpx.URL(api.url)
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"{head}Content-Length: 10\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()

        async def is_counted() -> bool:
            metrics = (await api.client().get("/metrics")).text
            return 'route="/v1/login",status="400"} 1.0' in metrics

        await eventually(is_counted)


async def test_a_request_is_logged_without_its_secrets(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    user = await api.a_user()

    def told() -> list[tuple[str, str, int]]:
        lines = [each.__dict__ for each in caplog.records if each.name.endswith("http.frame")]
        return [(line["method"], line["route"], line["status"]) for line in lines]

    # A line is written when its answer is out already: that of the sign-up may come now, too.
    with caplog.at_level("INFO"):
        await user.client.get("/v1/jobs?queue=a-secret-name")
        await api.client().post("/v1/login", json={"email": user.email, "password": "hidden one"})
        expected = [("GET", "/v1/jobs", 200), ("POST", "/v1/login", 401)]
        await eventually(lambda: told()[-2:] == expected)
    # uvicorn's own access log is switched off where logging is configured.
    ours = [each for each in caplog.records if each.name not in {"httpx", "uvicorn.access"}]
    everything = json.dumps([record.__dict__ for record in ours], default=str)
    for secret in ("a-secret-name", "hidden one", user.session["access_token"]):
        assert secret not in everything


async def test_an_unexpected_error_is_logged_with_its_request_and_shown_without_details(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    user = await api.a_user()
    broken = "alter table account rename column role to part"
    repaired = "alter table account rename column part to role"
    await api.store.execute(broken)
    try:
        answer = await api.client().post(
            "/v1/signup", json={"email": "broken@example.com", "password": "correct horse"}
        )
    finally:
        await api.store.execute(repaired)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (500, "INTERNAL")
    assert "role" not in answer.text
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.__dict__["request_id"] == error["request_id"]
    assert "UndefinedColumnError" in caplog.text
    assert "$bcrypt-sha256$" not in caplog.text
    assert (await user.client.get("/v1/me")).status_code == 200
