"""A stop says something against the jobs that it cuts short, unless an operator asked for it."""

from __future__ import annotations

import signal
from pathlib import Path

import asyncpg
import httpx

from internal.domain.blame import ALONE_FROM
from tests.support.conditions import eventually
from tests.support.installation import Installation, at_work, family, installation, send
from tests.support.journal import read_journal
from tests.support.serving import Windlass

LONG_JOB = {"type": "journaled", "payload": {"sleep_ms": 600_000}, "max_attempts": 1}


async def test_a_stop_of_all_processes_says_nothing_against_the_jobs_that_it_cuts_short(
    database_url: str, tmp_path: Path
) -> None:
    async with installation(database_url, tmp_path, WINDLASS_SHUTDOWN_GRACE="1s") as running:
        worker = await _with_a_job(running)
        send(family(worker), signal.SIGTERM)  # as systemd does

        assert await worker.end() == 0, worker.output
        assert await _suspicions(database_url) == []


async def test_a_stop_that_did_not_come_from_the_supervisor_speaks_against_a_job(
    database_url: str, tmp_path: Path
) -> None:
    async with installation(database_url, tmp_path, WINDLASS_SHUTDOWN_GRACE="1s") as running:
        worker = await _with_a_job(running)
        at_work(worker).terminate()

        await worker.says("the worker 1 ended with exit code 0")
        await worker.says("started the isolated worker")
        assert await _suspicions(database_url) == [ALONE_FROM]
        assert "a job runs in a process of its own from now on" in worker.output


async def test_a_handler_that_has_signals_ignored_keeps_no_worker_from_its_end(
    database_url: str, tmp_path: Path
) -> None:
    handlers = "tests.support.misbehaving"
    async with installation(database_url, tmp_path, WINDLASS_HANDLERS=handlers) as running:
        (worker,) = running.workers
        headers = {"Authorization": f"Bearer {await running.sign_up()}"}
        async with httpx.AsyncClient(base_url=running.urls[0], headers=headers) as client:
            answer = await client.post("/v1/jobs", json={"type": "deaf"})
            url = f"/v1/jobs/{answer.json()['data']['id']}"

            async def has_ended() -> bool:
                job = (await client.get(url)).json()["data"]
                return bool(job["status"] == "succeeded")

            await eventually(has_ended, every_s=0.1)
        worker.process.terminate()

        assert await worker.end() == 0, worker.output
        assert "killing" not in worker.output


async def _with_a_job(running: Installation) -> Windlass:
    """A worker that runs a long job."""
    (worker,) = running.workers
    headers = {"Authorization": f"Bearer {await running.sign_up()}"}
    async with httpx.AsyncClient(base_url=running.urls[0], headers=headers) as client:
        answer = await client.post("/v1/jobs", json=LONG_JOB)
    assert answer.is_success, answer.text
    await eventually(lambda: bool(read_journal(running.journal).starts), every_s=0.1)
    return worker


async def _suspicions(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("select suspicion from suspect")
    finally:
        await connection.close()
    return [row["suspicion"] for row in rows]
