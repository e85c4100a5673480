"""A schedule runs by real workers, and goes on after one of them was killed."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.conditions import eventually
from tests.support.customer import Customer, customer
from tests.support.serving import free_port, windlass

EVERY_SECOND = {"name": "tick", "every_ms": 1_000, "missed": "all", "job": {"type": "mock"}}


async def test_a_schedule_runs_every_second_and_misses_none_when_a_worker_is_killed(
    tmp_path: Path,
) -> None:
    settings = {
        "PORT": free_port(),
        "WINDLASS_DATA_DIR": str(tmp_path / "data"),
        "WINDLASS_WORKER_PROCESSES": "2",
        "WINDLASS_LEASE_TTL": "2s",
    }
    async with windlass("serve", **settings) as serve, customer(settings) as ada:
        await serve.says("Windlass is ready")
        await ada.sign_up()
        made = await ada.client.post("/v1/schedules", json=EVERY_SECOND)
        await eventually(lambda: ada.has("succeeded"))
        for worker in serve.children(command="worker"):
            worker.kill()
        await eventually(lambda: ada.has("succeeded", 4), within_s=60)
        jobs = await all_jobs(ada)
        serve.press_ctrl_c()
        await serve.end()

    slots = sorted(slot_of(job) for job in jobs)
    first = datetime.fromisoformat(made.json()["data"]["next_run_at"])
    assert slots == [first + number * timedelta(seconds=1) for number in range(len(slots))]


async def all_jobs(ada: Customer) -> list[dict[str, Any]]:
    answer = await ada.client.get("/v1/jobs", params={"limit": 200})
    jobs: list[dict[str, Any]] = answer.json()["data"]
    return jobs


def slot_of(job: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(job["idempotency_key"].rpartition("/")[2])
