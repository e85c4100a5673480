"""What a running `windlass serve` does when something happens to it; the tests share one."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect

from internal.adapters.embedded import running_dsn
from tests.support.conditions import eventually
from tests.support.serving import Windlass, free_port, is_gone, kill_postgres, refusal, windlass

TOMORROW = {"type": "mock", "run_at": "2100-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
async def settings() -> AsyncIterator[dict[str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-"))
    yield {"WINDLASS_DATA_DIR": str(folder), "PORT": free_port()}
    kill_postgres(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
async def serve(settings: dict[str, str]) -> AsyncIterator[Windlass]:
    async with windlass("serve", **settings) as serve:
        await serve.says("Windlass is ready")
        yield serve
        serve.press_ctrl_c()
        assert await serve.end() == 0, serve.output


async def test_a_second_windlass_is_refused_the_data_directory(
    serve: Windlass, settings: dict[str, str]
) -> None:
    message = await refusal("serve", **settings)

    assert f"another Windlass (pid {serve.process.pid}) uses" in message


@pytest.mark.usefixtures("serve")
async def test_a_worker_of_its_own_joins_in(settings: dict[str, str]) -> None:
    async with windlass("worker", **settings) as worker:
        await worker.says("working")
        worker.process.terminate()
        assert await worker.end() == 0


@pytest.mark.usefixtures("serve")
async def test_several_workers_of_their_own_are_kept_running_until_a_stop(
    settings: dict[str, str],
) -> None:
    async with windlass("worker", WINDLASS_WORKER_PROCESSES="2", **settings) as worker:
        await eventually(lambda: worker.output.count("working") == 2)
        worker.children(command="worker")[0].kill()
        await worker.says("ended with SIGKILL: starting it again")
        await eventually(lambda: worker.output.count("working") == 3)
        children = worker.children(command="worker")
        worker.process.terminate()
        assert await worker.end() == 0, worker.output

    assert len(children) == 2
    assert all(is_gone(child) for child in children)


@pytest.mark.usefixtures("serve")
async def test_an_api_of_its_own_keeps_to_the_limits_that_it_is_given(
    settings: dict[str, str],
) -> None:
    limits = {"WINDLASS_API_RATE": "3", "WINDLASS_MAX_WAITING_PER_USER": "1"}
    own = settings | limits | {"PORT": free_port()}
    async with windlass("api", **own) as api:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{own['PORT']}/v1") as client:
            await eventually(partial(_is_up, client))
            await _sign_up(client, "limited@example.com")
            answers = [await client.post("/jobs", json=TOMORROW) for _ in range(7)]
        api.process.terminate()
        assert await api.end() == 0, api.output

    assert [each.status_code for each in answers] == [201] + [429] * 6
    codes = [each.json()["error"]["code"] for each in answers[1:]]
    assert (codes[0], codes[-1]) == ("QUOTA_EXCEEDED", "RATE_LIMITED")


@pytest.mark.usefixtures("serve")
async def test_the_end_of_a_batch_arrives_over_the_websocket(settings: dict[str, str]) -> None:
    address = f"127.0.0.1:{settings['PORT']}/v1"
    async with httpx.AsyncClient(base_url=f"http://{address}") as client:
        token = await _sign_up(client, "batches@example.com")
        live = connect(f"ws://{address}/ws/jobs", additional_headers=token, proxy=None)
        async with asyncio.timeout(30), live as socket:
            assert json.loads(await socket.recv()) == {"event": "ready"}
            answer = await client.post("/jobs/batch", json={"jobs": [{"type": "mock"}] * 10})
            while (told := json.loads(await socket.recv()))["event"] != "batch.finished":
                pass

    assert told["batch"]["id"] == answer.json()["data"]["batch_id"]
    assert (told["batch"]["finished"], told["batch"]["counts"]["succeeded"]) == (10, 10)


@pytest.mark.usefixtures("serve")
async def test_a_command_finds_the_running_server(settings: dict[str, str]) -> None:
    message = await refusal("admin", "grant", "eve@example.com", **settings)

    assert "nobody has signed up as eve@example.com" in message


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_a_child_that_dies_is_started_again(serve: Windlass, command: str) -> None:
    [child] = serve.children(command=command)
    child.kill()

    await serve.says("ended with SIGKILL: starting it again")
    await eventually(lambda: serve.children(command=command) not in ([], [child]))


async def test_a_postgres_that_dies_is_started_again(
    serve: Windlass, settings: dict[str, str]
) -> None:
    data_dir = Path(settings["WINDLASS_DATA_DIR"])
    kill_postgres(data_dir)

    await serve.says("PostgreSQL ended: starting it again")
    await eventually(lambda: _answers(data_dir))


async def _answers(data_dir: Path) -> bool:
    dsn = running_dsn(data_dir)
    try:
        connection = await asyncpg.connect(dsn) if dsn else None
    except (OSError, asyncpg.PostgresError):
        return False
    if connection is None:
        return False
    await connection.close()
    return True


async def _is_up(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/me")).status_code == 401
    except httpx.ConnectError:
        return False


async def _sign_up(client: httpx.AsyncClient, email: str) -> dict[str, str]:
    """Have a client act for a new user; the header by which it does."""
    somebody = {"email": email, "password": "correct horse"}
    session = (await client.post("/signup", json=somebody)).json()["data"]
    header = {"Authorization": f"Bearer {session['access_token']}"}
    client.headers.update(header)
    return header
