from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.support.conditions import eventually
from tests.support.serving import free_port, kill_postgres, windlass

_JOBS = 40


async def test_every_accepted_job_finishes_after_a_kill_of_everything(tmp_path: Path) -> None:
    """The whole process group, and PostgreSQL too, while some jobs run and most wait."""
    settings = {
        "PORT": free_port(),
        "WINDLASS_DATA_DIR": str(tmp_path / "data"),
        "WINDLASS_LEASE_TTL": "2s",
        "WINDLASS_WORKER_CONCURRENCY": "5",
    }
    async with _client(settings) as client:
        async with windlass("serve", **settings) as serve:
            await serve.says("Windlass is ready")
            await _sign_up(client)
            jobs = [{"type": "mock", "payload": {"sleep_ms": 200}}] * _JOBS
            accepted = await client.post("/v1/jobs/batch", json={"jobs": jobs})
            await eventually(lambda: _has(client, "running"))
            kill_postgres(tmp_path / "data")

        async with windlass("serve", **settings) as serve:
            await serve.says("Windlass is ready")
            await eventually(lambda: _all_succeeded(client), within_s=60)
            serve.press_ctrl_c()
            await serve.end()

    assert accepted.status_code == 201


@asynccontextmanager
async def _client(settings: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings['PORT']}") as client:
        yield client


async def _sign_up(client: httpx.AsyncClient) -> None:
    """The token outlives the kill: the secret is kept in the data directory."""
    person = {"email": "ada@example.com", "password": "correct horse"}
    session = (await client.post("/v1/signup", json=person)).json()["data"]
    client.headers["Authorization"] = f"Bearer {session['access_token']}"


async def _has(client: httpx.AsyncClient, status: str) -> bool:
    answer = await client.get("/v1/jobs", params={"status": status, "limit": 200})
    return len(answer.json()["data"]) > 0


async def _all_succeeded(client: httpx.AsyncClient) -> bool:
    answer = await client.get("/v1/jobs", params={"status": "succeeded", "limit": 200})
    return len(answer.json()["data"]) == _JOBS
