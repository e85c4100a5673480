"""A worker process dies in the middle of a job."""

from __future__ import annotations

from pathlib import Path

from tests.support.conditions import eventually
from tests.support.customer import customer
from tests.support.serving import free_port, windlass


async def test_a_killed_workers_job_finishes_on_another_with_the_loss_on_record(
    tmp_path: Path,
) -> None:
    settings = {
        "PORT": free_port(),
        "WINDLASS_DATA_DIR": str(tmp_path / "data"),
        "WINDLASS_LEASE_TTL": "2s",
    }
    async with windlass("serve", **settings) as serve, customer(settings) as ada:
        await serve.says("Windlass is ready")
        await ada.sign_up()
        jobs = await ada.submit(1, type="mock", payload={"sleep_ms": 3000})
        await eventually(lambda: ada.has("running"))
        (worker,) = serve.children(command="worker")
        worker.kill()
        await eventually(lambda: ada.has("succeeded"), within_s=60)
        (attempts,) = await ada.attempts(jobs)
        finished = (await ada.client.get(f"/v1/jobs/{jobs[0]}")).json()["data"]
        serve.press_ctrl_c()
        await serve.end()

    assert [each["status"] for each in attempts] == ["lost", "succeeded"]
    assert attempts[0]["worker"] != attempts[1]["worker"]
    assert finished["attempts"] == 0, "a loss without blame does not count"
