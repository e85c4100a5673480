"""What is answered past Litestar is answered as Litestar answers it."""

from __future__ import annotations

import re
from typing import Any, Final

import httpx
import pytest
from litestar import Litestar, post

from internal.adapters.http.direct import Direct, route_handler
from tests.support.api import Api, SignedUp
from tests.support.routes import submit

DIRECT: Final = "/v1/jobs"
# Litestar takes both for the same route.
BY_LITESTAR: Final = "/v1/jobs/"
REQUEST_ID: Final = {"X-Request-Id": "the-same"}
JSON: Final = {"Content-Type": "application/json"}
MIB: Final = 1024 * 1024

# What differs between two submissions: their ids, as long as each other, and their times.
_ID: Final = re.compile(rb'"id":"[0-9a-f-]{36}"')
_TIME: Final = re.compile(rb'"20\d\d-[^"]{16,24}Z"')

Sent = tuple[bytes, dict[str, str], str]


def _sent(body: bytes, query: str = "", **headers: str) -> Sent:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return body, JSON | named, query


GOOD: Final = b'{"type": "mock", "payload": {"sleep_ms":  1}, "tags": ["a"]}'

CASES: Final = {
    "a job": _sent(GOOD),
    "a job of an unknown type": _sent(b'{"type": "not.installed", "payload": {"n":1.10}}'),
    "a key": _sent(b'{"type": "mock", "idempotency_key": "field"}'),
    "a key that exists": _sent(GOOD, Idempotency_Key="old"),
    "a key of another request": _sent(b'{"type": "mock"}', Idempotency_Key="old"),
    "two keys": _sent(b'{"type": "mock", "idempotency_key": "x"}', Idempotency_Key="y"),
    "no body": _sent(b""),
    "half a body": _sent(b"{"),
    "no object": _sent(b"[]"),
    "no UTF-8": _sent(b'{"type": "\xff"}'),
    "deep": _sent(b'{"type": "mock", "payload": {"a": ' + b"[" * 100_000),
    "no type": _sent(b"{}"),
    "a wrong value": _sent(b'{"type": "mock", "priority": "urgent"}'),
    "a wrong input": _sent(b'{"type": "mock", "payload": {"sleep_ms": "long"}}'),
    "an unknown field": _sent(b'{"type": "mock", "nope": 1}'),
    "another content type": _sent(GOOD, Content_Type="text/plain"),
    "another content type and no body": _sent(b"", Content_Type="text/plain"),
    "another charset": _sent(GOOD, Content_Type="application/json; charset=latin-1"),
    "an unknown query": _sent(GOOD, "?nope=1"),
    "a query that is no UTF-8": _sent(GOOD, "?%ff=1"),
    "no token": _sent(GOOD, Authorization=""),
    "a wrong token": _sent(GOOD, Authorization="Bearer nobody's"),
    "another scheme": _sent(GOOD, Authorization="Basic bm8="),
    "a large payload": _sent(b'{"type": "x", "payload": {"text": "%b"}}' % (b"x" * 400_000)),
    "a large body": _sent(b" " * 17 * MIB),
}


async def _answer(user: SignedUp, path: str, sent: Sent) -> tuple[int, list[Any], bytes]:
    """Its status, headers and body, with what must differ made alike."""
    body, headers, query = sent
    return _alike(await user.client.post(path + query, content=body, headers=headers | REQUEST_ID))


def _alike(answer: httpx.Response) -> tuple[int, list[Any], bytes]:
    headers = [each for each in answer.headers.raw if each[0].lower() != b"date"]
    body = _TIME.sub(b"time", _ID.sub(b"id", answer.content))
    return answer.status_code, headers, body


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests that were answered directly."""
    seen: list[str] = []
    answer = Direct._answer  # noqa: SLF001 - nothing else tells the two ways apart

    async def note(self: Direct, request: Any) -> Any:
        seen.append(request.scope["path"])
        return await answer(self, request)

    monkeypatch.setattr(Direct, "_answer", note)
    return seen


@pytest.mark.parametrize("sent", CASES.values(), ids=CASES.keys())
async def test_both_ways_answer_alike_to_the_byte(
    api: Api, sent: Sent, answered: list[str]
) -> None:
    one, other = await api.a_user(), await api.a_user()
    for user in (one, other):
        await submit(user, idempotency_key="old", payload={"sleep_ms": 1}, tags=["a"])
    answered.clear()
    assert await _answer(one, DIRECT, sent) == await _answer(other, BY_LITESTAR, sent)
    assert answered == [DIRECT]


async def test_both_ways_answer_alike_to_an_error_of_ours(api: Api, answered: list[str]) -> None:
    user = await api.a_user()
    await api.store.execute("alter table ready rename to elsewhere")
    try:
        directly, by_litestar = [
            await _answer(user, path, _sent(GOOD)) for path in (DIRECT, BY_LITESTAR)
        ]
    finally:
        await api.store.execute("alter table elsewhere rename to ready")
    assert directly == by_litestar
    assert (directly[0], answered) == (500, [DIRECT])


async def test_both_ways_are_counted_as_one_route(api: Api) -> None:
    user, series = await api.a_user(), 'method="POST",route="/v1/jobs",status="415"'
    before = await _count(api, series)
    for path in (DIRECT, BY_LITESTAR):
        await _answer(user, path, _sent(GOOD, Content_Type="text/plain"))
    assert await _count(api, series) == before + 2


async def test_a_host_that_litestar_refuses_is_refused(api: Api, answered: list[str]) -> None:
    user = await api.a_user()
    for path in (DIRECT, BY_LITESTAR):
        status, _, body = await _answer(user, path, _sent(GOOD, Host='"'))
        assert (status, b"Invalid host header" in body) == (400, True)
    assert answered == []


async def _count(api: Api, series: str) -> float:
    metrics = (await api.client().get("/metrics")).text
    found = re.search(rf"^windlass_http_requests_total{{{series}}} (.*)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0


def test_a_route_whose_guards_would_be_passed_by_is_refused() -> None:
    def guard(_connection: object, _handler: object) -> None: ...

    @post("/route", guards=[guard])
    async def route() -> None: ...

    with pytest.raises(ValueError, match="guards"):
        route_handler(Litestar([route], logging_config=None), "POST", "/route")
