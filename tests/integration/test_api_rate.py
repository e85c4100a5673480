"""`WINDLASS_API_RATE`: how many requests a user may make."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.api import Api, Settings, SignedUp, running_api
from tests.support.routes import error_of, submit

PER_S = 2
AT_ONCE = 4
LIMITS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


@pytest.fixture(scope="module")
async def limited(module_database_url: str) -> AsyncIterator[Api]:
    async with running_api(module_database_url, Settings(api_rate=PER_S)) as api:
        yield api


async def until_refused(user: SignedUp, method: str, path: str, **more: Any) -> httpx.Response:
    for _ in range(100):
        answer = await user.client.request(method, path, **more)
        if answer.status_code == 429:
            return answer
    raise AssertionError("it was never refused")


def limits_of(answer: httpx.Response) -> list[int]:
    return [int(answer.headers[name]) for name in LIMITS]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/me", None),
        ("POST", "/v1/jobs", {"type": "mock"}),
        ("POST", "/v1/jobs/", {"type": "mock"}),
        ("POST", "/v1/jobs/batch", {"jobs": [{"type": "mock"}]}),
        ("GET", "/v1/jobs/01900000-0000-7000-8000-000000000000", None),
        ("GET", "/v1/jobs?nope=1", None),
    ],
)
async def test_beyond_the_rate_a_user_is_refused_and_hears_when_to_come_again(
    limited: Api, method: str, path: str, body: Any
) -> None:
    user = await limited.a_user()
    refused = await until_refused(user, method, path, json=body)

    assert error_of(refused) == (429, "RATE_LIMITED", [])
    assert "2 requests a second" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"] == "1"
    assert limits_of(refused) == [AT_ONCE, 0, 2]


async def test_every_answer_says_how_many_are_left(limited: Api) -> None:
    user = await limited.a_user()
    good = await user.client.post("/v1/jobs", json={"type": "mock"})
    bad = await user.client.get("/v1/jobs?nope=1")

    assert (good.status_code, bad.status_code) == (201, 400)
    assert limits_of(good) == [AT_ONCE, AT_ONCE - 1, 1]
    assert limits_of(bad)[0] == AT_ONCE
    assert limits_of(bad)[1] < limits_of(good)[1]


async def test_a_flood_of_one_user_refuses_no_other(limited: Api) -> None:
    one, other = await limited.a_user(), await limited.a_user()
    await until_refused(one, "GET", "/v1/me")
    await submit(other)


async def test_who_is_not_logged_in_is_neither_counted_nor_told(limited: Api) -> None:
    stranger = limited.client()
    for _ in range(AT_ONCE * 2):
        answer = await stranger.get("/v1/me")
        assert answer.status_code == 401
        assert not set(LIMITS) & set(answer.headers)
        assert (await stranger.get("/health")).status_code == 200


async def test_a_refusal_is_counted_for_its_operator(limited: Api) -> None:
    await until_refused(await limited.a_user(), "GET", "/v1/stats")
    metrics = (await limited.client().get("/metrics")).text
    series = r'^windlass_http_requests_total\{method="GET",route="/v1/stats",status="429"\} 1.0$'
    assert re.search(series, metrics, re.MULTILINE)


async def test_without_a_limit_nothing_is_said_of_it(api: Api) -> None:
    user = await api.a_user()
    for _ in range(30):
        answer = await user.client.get("/v1/me")
        assert answer.status_code == 200
        assert not set(LIMITS) & set(answer.headers)
