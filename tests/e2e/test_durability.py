"""What was accepted is done, whatever is killed in between; the jobs sleep, so that some run."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.support.conditions import eventually
from tests.support.customer import Customer, customer
from tests.support.serving import free_port, kill_postgres, windlass

_JOBS = 40
_MOCK = {"type": "mock", "payload": {"sleep_ms": 200}}


def settings_in(folder: Path) -> dict[str, str]:
    return {
        "PORT": free_port(),
        "WINDLASS_DATA_DIR": str(folder),
        "WINDLASS_LEASE_TTL": "2s",
        "WINDLASS_WORKER_CONCURRENCY": "5",
    }


async def test_every_accepted_job_finishes_after_a_kill_of_everything(tmp_path: Path) -> None:
    """The whole process group, and PostgreSQL too."""
    settings = settings_in(tmp_path)
    async with customer(settings) as ada:
        async with windlass("serve", **settings) as serve:
            await serve.says("Windlass is ready")
            await ada.sign_up()
            jobs = await ada.submit(_JOBS, **_MOCK)
            await eventually(lambda: ada.has("running"))
            kill_postgres(tmp_path)

        async with windlass("serve", **settings) as serve:
            await serve.says("Windlass is ready")
            await eventually(lambda: ada.has("succeeded", _JOBS), within_s=60)
            await assert_each_succeeded_once(ada, jobs)
            serve.press_ctrl_c()
            await serve.end()


async def test_every_accepted_job_finishes_after_a_kill_of_postgres(tmp_path: Path) -> None:
    """A request that comes meanwhile is told to come again; its key makes it one job."""
    settings = settings_in(tmp_path)
    answers: list[httpx.Response] = []

    async def is_taken() -> bool:
        request = {**_MOCK, "idempotency_key": "once"}
        answers.append(await ada.client.post("/v1/jobs", json=request))
        return answers[-1].is_success

    async with customer(settings) as ada, windlass("serve", **settings) as serve:
        await serve.says("Windlass is ready")
        await ada.sign_up()
        jobs = await ada.submit(_JOBS, **_MOCK)
        await eventually(lambda: ada.has("running"))
        kill_postgres(tmp_path)

        await eventually(is_taken)
        jobs.append(answers.pop().json()["data"]["id"])
        await eventually(lambda: ada.has("succeeded", _JOBS + 1), within_s=60)
        await assert_each_succeeded_once(ada, jobs)
        serve.press_ctrl_c()
        assert await serve.end() == 0

    assert {said(each) for each in answers} <= {(503, "UNAVAILABLE", "2")}
    assert "Traceback" not in serve.output


async def assert_each_succeeded_once(ada: Customer, jobs: list[str]) -> None:
    """And all of a user's jobs are those that were accepted."""
    for attempts in await ada.attempts(jobs):
        ends = [each["status"] for each in attempts]
        assert ends == ["lost"] * (len(ends) - 1) + ["succeeded"]
    counts = (await ada.client.get("/v1/stats")).json()["data"]["counts"]
    assert (counts["total"], counts["by_status"]["succeeded"]) == (len(jobs), len(jobs))


def said(answer: httpx.Response) -> tuple[int, str, str | None]:
    return answer.status_code, answer.json()["error"]["code"], answer.headers.get("retry-after")
