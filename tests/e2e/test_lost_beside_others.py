"""A job that kills its process, beside jobs that have one attempt each."""

from __future__ import annotations

from pathlib import Path

from tests.support.conditions import eventually
from tests.support.customer import customer
from tests.support.serving import free_port, windlass


async def test_jobs_that_were_beside_one_that_killed_the_worker_have_lost_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "poisoned.py").write_text(
        """
import os, signal
from pathlib import Path
from windlass import JobContext, handler

DIED = Path(__file__).with_name("died")

@handler("poison")
async def poison(job: dict, ctx: JobContext) -> None:
    if not DIED.exists():
        DIED.touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    settings = {
        "PORT": free_port(),
        "WINDLASS_DATA_DIR": str(tmp_path / "data"),
        "WINDLASS_HANDLERS": "poisoned",
        "WINDLASS_LEASE_TTL": "2s",
        "PYTHONPATH": str(tmp_path),
    }
    async with windlass("serve", **settings) as serve, customer(settings) as ada:
        await serve.says("Windlass is ready")
        await ada.sign_up()
        beside = await ada.submit(5, type="mock", payload={"sleep_ms": 1500}, max_attempts=1)
        await eventually(lambda: ada.has("running"))
        (bad,) = await ada.submit(1, type="poison", max_attempts=1)
        await eventually(lambda: ada.has("succeeded", 6), within_s=60)
        jobs = [await ada.client.get(f"/v1/jobs/{job_id}") for job_id in (*beside, bad)]
        serve.press_ctrl_c()
        await serve.end()

    assert [job.json()["data"]["attempts"] for job in jobs] == [0] * 6
