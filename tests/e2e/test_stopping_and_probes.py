"""What balancers and container runtimes see: processes that stop, freeze, or are older."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx

from internal.bootstrap.migrations import migrate_up
from tests.support.conditions import eventually
from tests.support.releases import a_newer_release
from tests.support.serving import free_port, refusal, windlass

_SECRET = "0123456789abcdef" * 4


def _settings(database_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "WINDLASS_JWT_SECRET": _SECRET,
        "PORT": free_port(),
    }


async def test_a_stopping_api_says_so_while_it_still_serves(database_url: str) -> None:
    settings = _settings(database_url)
    async with (
        windlass("api", **settings, WINDLASS_DRAIN="5m") as api,
        _client(settings) as client,
    ):
        await _is_ready(client)
        assert (await client.get("/health")).headers.get("Connection") != "close"

        api.process.terminate()

        await eventually(lambda: _answers(client, "/ready", 503), within_s=60)
        stopping = await client.get("/ready")
        signup = await client.post(
            "/v1/signup", json={"email": "ada@example.com", "password": "correct horse"}
        )

    assert "This process is stopping" in stopping.json()["error"]["message"]
    assert signup.status_code == 201
    assert signup.headers["Connection"] == "close"


async def test_a_stopping_api_closes_its_port_when_it_has_drained(database_url: str) -> None:
    settings = _settings(database_url)
    async with (
        windlass("api", **settings, WINDLASS_DRAIN="0s") as api,
        _client(settings) as client,
    ):
        await _is_ready(client)
        api.process.terminate()
        assert await api.end() == 0


async def test_processes_of_a_release_start_on_tables_that_a_newer_one_added_to(
    database_url: str, tmp_path: Path
) -> None:
    await migrate_up(database_url, folder=a_newer_release(tmp_path, additive=True))
    settings = _settings(database_url)
    async with (
        windlass("api", **settings) as api,
        windlass("worker", **settings, WINDLASS_DATA_DIR=str(tmp_path)) as worker,
        _client(settings) as client,
    ):
        await _is_ready(client)
        job = await _submit(client)
        await eventually(lambda: _has_succeeded(client, job), within_s=60)

    for process in (api, worker):
        assert "which it still serves" in process.output


async def test_processes_of_a_release_are_refused_on_tables_that_a_newer_one_changed(
    database_url: str, tmp_path: Path
) -> None:
    await migrate_up(database_url, folder=a_newer_release(tmp_path, additive=False))
    settings = _settings(database_url)

    for command in ("api", "worker", "serve"):
        assert "which a newer Windlass made" in await refusal(command, **settings)


async def test_a_frozen_supervisor_turns_the_probe_of_its_workers_red(
    database_url: str, tmp_path: Path
) -> None:
    settings = _settings(database_url) | {
        "WINDLASS_DATA_DIR": str(tmp_path),
        "WINDLASS_WORKER_PROCESSES": "2",
        "WINDLASS_LEASE_TTL": "10s",
    }
    assert await _probe(settings) == (1, f"no worker runs with the data directory {tmp_path}")
    async with windlass("worker", **settings) as worker:
        await _turns(settings, 0)

        os.kill(worker.process.pid, signal.SIGSTOP)
        said = await _turns(settings, 1)
        os.kill(worker.process.pid, signal.SIGCONT)

        await _turns(settings, 0)
        worker.process.terminate()
        await worker.end()
    assert f"(process {worker.process.pid}) has stood still" in said
    assert await _probe(settings) == (1, f"no worker runs with the data directory {tmp_path}")


async def _turns(settings: dict[str, str], code: int) -> str:
    said = ""

    async def has_turned() -> bool:
        nonlocal said
        found, said = await _probe(settings)
        return found == code

    await eventually(has_turned, within_s=90, every_s=0.5)
    return said


async def _probe(settings: dict[str, str]) -> tuple[int, str]:
    async with windlass("health", "worker", **settings) as probe:
        code = await probe.end()
    return code, probe.output.strip()


def _client(settings: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings['PORT']}", timeout=30)


async def _is_ready(client: httpx.AsyncClient) -> None:
    await eventually(lambda: _answers(client, "/ready", 200), within_s=90, every_s=0.1)


async def _answers(client: httpx.AsyncClient, path: str, status: int) -> bool:
    try:
        return (await client.get(path)).status_code == status
    except httpx.TransportError:
        return False


async def _submit(client: httpx.AsyncClient) -> str:
    signup = {"email": "ada@example.com", "password": "correct horse"}
    session = (await client.post("/v1/signup", json=signup)).json()["data"]
    client.headers["Authorization"] = f"Bearer {session['access_token']}"
    answer = await client.post("/v1/jobs", json={"type": "mock", "payload": {}})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return str(found["id"])


async def _has_succeeded(client: httpx.AsyncClient, job: str) -> bool:
    answer = await client.get(f"/v1/jobs/{job}")
    return bool(answer.json()["data"]["status"] == "succeeded")
