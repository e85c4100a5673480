"""While the database is away the API says so, and it needs no restart afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from internal.adapters.embedded import EmbeddedServer
from internal.bootstrap.migrations import migrate_up
from tests.support.api import PASSWORD, Api, SignedUp, running_api
from tests.support.conditions import eventually


async def each_kind_of_request(api: Api, user: SignedUp) -> list[httpx.Response]:
    credentials = {"email": "new@example.com", "password": PASSWORD}
    refresh = {"refresh_token": user.session["refresh_token"]}
    return [
        await user.client.get("/ready"),
        await user.client.get("/v1/me"),
        await user.client.get("/v1/jobs"),
        await user.client.get("/v1/stats"),
        await user.client.post("/v1/jobs", json={"type": "mock"}),
        await user.client.post("/v1/jobs/batch", json={"jobs": [{"type": "mock"}] * 3}),
        await api.client().post("/v1/signup", json=credentials),
        await api.client().post("/v1/login", json=credentials),
        await api.client().post("/v1/token/refresh", json=refresh),
    ]


async def test_requests_are_answered_503_until_the_database_is_back(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, options={"fsync": "off"})
    dsn = await asyncio.to_thread(server.start)
    try:
        await migrate_up(dsn)
        async with running_api(dsn) as api:
            user = await api.a_user()
            await asyncio.to_thread(server.stop)
            for answer in await each_kind_of_request(api, user):
                assert answer.status_code == 503, answer.request.url
                assert answer.json()["error"]["code"] == "UNAVAILABLE"
                assert int(answer.headers["retry-after"]) >= 1
            assert (await user.client.get("/health")).status_code == 200

            await asyncio.to_thread(server.start)

            async def is_back() -> bool:
                return (await user.client.get("/ready")).status_code == 200

            await eventually(is_back)
            codes = [answer.status_code for answer in await each_kind_of_request(api, user)]
            assert codes == [200, 200, 200, 200, 201, 201, 201, 200, 200]
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_cut_connection_costs_one_request_at_most(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    user = await api.a_user()
    cut = (
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
    )
    for path in ("/v1/me", "/v1/jobs", "/v1/stats"):
        assert (await user.client.get(path)).status_code == 200
        async with api.store.database.hot() as connection:
            await connection.fetch(f"{cut} and pid <> pg_backend_pid()")
        codes = [(await user.client.get(path)).status_code for _ in range(12)]
        assert set(codes) <= {200, 503}
        assert codes[-1] == 200
    assert "Traceback" not in caplog.text
