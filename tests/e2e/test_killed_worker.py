"""A worker process dies in the middle of a job."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.support.conditions import eventually
from tests.support.serving import free_port, windlass


async def test_a_killed_workers_job_finishes_on_another_with_the_loss_on_record(
    tmp_path: Path,
) -> None:
    settings = {
        "PORT": free_port(),
        "WINDLASS_DATA_DIR": str(tmp_path / "data"),
        "WINDLASS_LEASE_TTL": "2s",
    }
    url = f"http://127.0.0.1:{settings['PORT']}"
    async with windlass("serve", **settings) as serve, httpx.AsyncClient(base_url=url) as client:
        await serve.says("Windlass is ready")
        person = {"email": "ada@example.com", "password": "correct horse"}
        session = (await client.post("/v1/signup", json=person)).json()["data"]
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        request = {"type": "mock", "payload": {"sleep_ms": 3000}}
        job = (await client.post("/v1/jobs", json=request)).json()["data"]

        async def is_now(status: str) -> bool:
            answer = await client.get(f"/v1/jobs/{job['id']}")
            return bool(answer.json()["data"]["status"] == status)

        await eventually(lambda: is_now("running"))
        (worker,) = serve.children(command="worker")
        worker.kill()
        await eventually(lambda: is_now("succeeded"), within_s=60)
        attempts = (await client.get(f"/v1/jobs/{job['id']}/attempts")).json()["data"]
        finished = (await client.get(f"/v1/jobs/{job['id']}")).json()["data"]

    assert [each["status"] for each in attempts] == ["lost", "succeeded"]
    assert attempts[0]["worker"] != attempts[1]["worker"]
    assert finished["attempts"] == 1
