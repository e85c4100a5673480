"""Guessing a password is limited for one email from one address."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.api import PASSWORD, Api, Settings, running_api

LIMIT = 5


@pytest.fixture
async def strict(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url, Settings(login_rate=LIMIT)) as running:
        yield running


async def log_in(api: Api, email: str, password: str) -> httpx.Response:
    return await api.client().post("/v1/login", json={"email": email, "password": password})


async def test_too_many_failures_are_refused_with_a_time_to_wait(strict: Api) -> None:
    user = await strict.a_user()
    for _ in range(LIMIT):
        assert (await log_in(strict, user.email, "wrong")).status_code == 401
    refused = await log_in(strict, user.email.upper(), PASSWORD)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert 1 <= int(refused.headers["retry-after"]) <= 60


async def test_parallel_guesses_do_not_pass_the_limit(strict: Api) -> None:
    user = await strict.a_user()
    answers = await asyncio.gather(*(log_in(strict, user.email, f"guess {n}") for n in range(50)))
    assert Counter(answer.status_code for answer in answers) == {401: LIMIT, 429: 50 - LIMIT}


async def test_unknown_emails_are_limited_alike(strict: Api) -> None:
    codes = [(await log_in(strict, "nobody@example.com", "wrong")).status_code for _ in range(7)]
    assert codes == [401] * LIMIT + [429] * 2


async def test_a_success_forgives_what_failed_before(strict: Api) -> None:
    user = await strict.a_user()
    for _ in range(3):
        for _ in range(LIMIT - 1):
            assert (await log_in(strict, user.email, "wrong")).status_code == 401
        assert (await log_in(strict, user.email, PASSWORD)).status_code == 200


async def test_the_wait_ends_with_the_minute_of_the_decisive_failure(strict: Api) -> None:
    user = await strict.a_user()
    for _ in range(LIMIT):
        await log_in(strict, user.email, "wrong")
    await strict.store.execute("update login_failure set at = at - interval '50 seconds'")
    refused = await log_in(strict, user.email, PASSWORD)
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    await strict.store.execute("update login_failure set at = at - interval '10 seconds'")
    assert (await log_in(strict, user.email, PASSWORD)).status_code == 200


async def test_one_users_failures_do_not_lock_out_another(strict: Api) -> None:
    victim, other = await strict.a_user(), await strict.a_user()
    for _ in range(LIMIT + 1):
        await log_in(strict, victim.email, "wrong")
    assert (await log_in(strict, other.email, PASSWORD)).status_code == 200


async def test_failures_from_another_address_do_not_count(strict: Api) -> None:
    user = await strict.a_user()
    for _ in range(LIMIT + 1):
        await log_in(strict, user.email, "wrong")
    await strict.store.execute("update login_failure set address = '192.0.2.1'")
    assert (await log_in(strict, user.email, PASSWORD)).status_code == 200
