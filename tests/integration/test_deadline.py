"""A request is answered in time though the database is not."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from internal.bootstrap.migrations import migrate_up
from tests.support.api import Api, Settings, running_api
from tests.support.tcp_server import TcpServer, tcp_server

# What a request may take is far less than what the database's own limits would let it.
_WITHIN_S = 1.0
_MOST_S = 15.0


@pytest.fixture
async def server() -> AsyncIterator[TcpServer]:
    async with tcp_server() as running:
        await migrate_up(running.url())
        yield running


@pytest.fixture
async def api(server: TcpServer) -> AsyncIterator[Api]:
    async with running_api(server.url(), Settings(answered_within_s=_WITHIN_S)) as running:
        yield running


async def _require_standby(server: TcpServer, *, required: bool) -> None:
    names = "'nobody'" if required else "default"
    await server.execute(
        "set synchronous_commit = local",
        f"alter system set synchronous_standby_names to {names}",
        "select pg_reload_conf()",
    )


async def _timed(client: httpx.AsyncClient, **job: object) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    answer = await client.post("/v1/jobs", json={"type": "mock", **job})
    return answer, time.monotonic() - began


async def test_submissions_do_not_queue_behind_a_commit_that_hangs(
    api: Api, server: TcpServer, caplog: pytest.LogCaptureFixture
) -> None:
    user = await api.a_user()
    await _require_standby(server, required=True)
    sending = []
    for number in range(4):
        sending.append(asyncio.create_task(_timed(user.client, idempotency_key=f"k{number}")))
        await asyncio.sleep(0.2)  # each comes while the one before is still being written
    answers = await asyncio.gather(*sending)
    await _require_standby(server, required=False)

    for answer, seconds in answers:
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "UNAVAILABLE"
        assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
        assert int(answer.headers["retry-after"]) >= 1
        assert seconds < _MOST_S
    reasons = [each.__dict__.get("reason") for each in caplog.records]
    assert reasons.count("no answer before the request's deadline") == 4

    again = [await _timed(user.client, idempotency_key=f"k{number}") for number in range(4)]
    assert {answer.status_code for answer, _ in again} <= {200, 201}
    jobs = (await user.client.get("/v1/jobs")).json()["data"]
    assert len(jobs) == 4


async def test_every_kind_of_request_is_given_up_in_time(api: Api, server: TcpServer) -> None:
    user = await api.a_user()
    await user.client.post("/v1/jobs", json={"type": "mock"})
    pids = [int(pid) for pid in await _backends(api)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        answers = await asyncio.gather(
            user.client.get("/v1/jobs"),
            user.client.get("/v1/stats"),
            user.client.get("/v1/me"),
            user.client.post("/v1/jobs/batch", json={"jobs": [{"type": "mock"}] * 3}),
            user.client.get("/ready"),
            return_exceptions=True,
        )
        seconds = time.monotonic() - began
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    for answer in answers:
        assert isinstance(answer, httpx.Response)
        # Those that found no stopped session, but a new one, are answered as ever.
        assert answer.status_code in {200, 201, 503}
    assert seconds < _MOST_S


async def _backends(api: Api) -> list[int]:
    query = "select pid from pg_stat_activity where application_name = 'windlass tests'"
    async with api.store.database.hot() as connection:
        return [row["pid"] for row in await connection.fetch(query)]


async def test_a_slow_upload_has_its_time(api: Api) -> None:
    user = await api.a_user()

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"type": '
        await asyncio.sleep(1.5 * _WITHIN_S)
        yield b'"mock"}'

    answer = await user.client.post(
        "/v1/jobs", content=slowly(), headers={"content-type": "application/json"}
    )

    assert answer.status_code == 201
