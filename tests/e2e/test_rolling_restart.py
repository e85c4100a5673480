"""Each process is restarted in turn under load, as a deploy does: nothing is lost or repeated.

`make trials` does it with more jobs and clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from internal.domain.jobs import Outcome
from tests.support.conditions import eventually
from tests.support.follower import Follower, following
from tests.support.installation import LONG, Api, Installation, installation
from tests.support.journal import read_journal
from tests.support.load import Load, check_all_done, load

PER_SECOND: Final = 100 if LONG else 20
JOBS_BETWEEN: Final = 500 if LONG else 20
FOLLOWERS_OF_EACH: Final = 5 if LONG else 1
# Of each kind of process.
RESTARTS: Final = 2 if LONG else 1
# Too long for the grace of a stop, and too many for the slots of one worker.
LONG_JOB: Final = {"type": "journaled", "payload": {"sleep_ms": 4_000}}
LONG_JOBS: Final = 30
SETTINGS: Final = {
    "WINDLASS_SHUTDOWN_GRACE": "1s",
    "WINDLASS_LEASE_TTL": "8s",
    "WINDLASS_WORKER_CONCURRENCY": "45" if LONG else "25",
}
IN_FLIGHT: Final = 3

COUNTED: Final = "select coalesce(max(attempts), 0) from job_state"
WAITING: Final = "select count(*) from pg_locks where not granted"


@pytest.mark.timeout(600 if LONG else 300)
async def test_a_rolling_restart_and_a_kill_lose_nothing_and_double_nothing(
    database_url: str, tmp_path: Path, report: Callable[[str], None]
) -> None:
    async with installation(database_url, tmp_path, apis=2, workers=2, **SETTINGS) as running:
        async with (
            load(running, per_second=PER_SECOND, sleep_ms=300) as sent,
            following(running.urls * FOLLOWERS_OF_EACH, sent.token) as followers,
        ):
            trial = Trial(running, sent, followers)
            await trial.restart_all()
            counted = await value(database_url, COUNTED)
            await trial.kill_a_worker()
            if LONG:
                await trial.kill_an_api()
        tally = await check_all_done(database_url, running)
    assert counted == 0, "a graceful stop used up an attempt"
    assert set(tally.outcomes) <= {Outcome.SUCCEEDED, Outcome.RELEASED, Outcome.LOST}
    assert tally.outcomes[Outcome.RELEASED] > 0
    closes = sorted({str(code) for each in followers for code in each.closes})
    report(f"a rolling restart: {sent.summary()}; {tally}; sockets closed with {closes}")


class Trial:
    """Restarts of everything under one load."""

    def __init__(self, running: Installation, sent: Load, followers: list[Follower]) -> None:
        self._running = running
        self._sent = sent
        self._followers = followers

    async def restart_all(self) -> None:
        """One after the other by SIGTERM; jobs too long for that are released and run again."""
        for worker in self._running.workers[:RESTARTS]:
            await self._start_long_jobs()
            await self._running.stop(worker)
            await self._running.start_worker()
            await self._sent.goes_on(JOBS_BETWEEN)
        for api in self._running.apis[:RESTARTS]:
            async with self._clients_of(api) as process:
                await self._running.stop(process)
                await self._running.start_api(api)

    async def kill_a_worker(self) -> None:
        """By SIGKILL, with what it runs."""
        await self._running.kill(self._running.workers[0])
        await self._running.start_worker()
        await self._sent.goes_on(JOBS_BETWEEN)

    async def kill_an_api(self) -> None:
        """By SIGKILL, with the requests that it is at."""
        api = self._running.apis[-1]
        async with self._clients_of(api) as process:
            await self._running.kill(process)
            await self._running.start_api(api)

    @asynccontextmanager
    async def _clients_of(self, api: Api) -> AsyncIterator[Any]:
        """An API that is started again in the block: its clients come back and hear of jobs."""
        assert api.process is not None
        theirs = [each for each in self._followers if each.url == api.url]
        before = [each.connections for each in theirs]
        yield api.process
        await eventually(
            lambda: all(each.connections > n for each, n in zip(theirs, before, strict=True))
        )
        seen = [each.seen for each in theirs]
        await eventually(lambda: all(each.seen > n for each, n in zip(theirs, seen, strict=True)))
        await self._sent.goes_on(JOBS_BETWEEN)

    async def _start_long_jobs(self) -> None:
        """So many that every worker runs some."""
        jobs = await self._sent.submit_batch([LONG_JOB] * LONG_JOBS)
        self._running.accepted |= jobs

        def have_started() -> bool:
            starts = read_journal(self._running.journal).starts
            return jobs <= {job_id for job_id, _ in starts}

        await eventually(have_started, within_s=60, every_s=0.1)


async def test_an_api_that_stops_answers_what_it_was_asked_before(
    database_url: str, tmp_path: Path
) -> None:
    async with installation(database_url, tmp_path, workers=0) as running:
        (api,) = running.apis
        assert api.process is not None
        token = await running.sign_up()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=api.url, headers=headers, timeout=60) as client:
            async with locked_jobs(database_url):
                asked = [
                    asyncio.create_task(client.post("/v1/jobs", json=LONG_JOB))
                    for _ in range(IN_FLIGHT)
                ]
                await eventually(lambda: is_any_waiting(database_url))
                api.process.process.terminate()
                await eventually(lambda: refuses(api.url))
            answers = await asyncio.gather(*asked)
        code = await api.process.end()
        running.commands.remove(api.process)

    assert [each.status_code for each in answers] == [201] * IN_FLIGHT
    assert code == 0
    assert await value(database_url, "select count(*) from job") == IN_FLIGHT


@asynccontextmanager
async def locked_jobs(url: str) -> AsyncIterator[None]:
    """No job can be stored for as long as the block lasts."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("lock table job in share mode")
            yield
    finally:
        await connection.close()


async def is_any_waiting(url: str) -> bool:
    return bool(await value(url, WAITING))


async def refuses(url: str) -> bool:
    """Whether an API takes no further request."""
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            return (await client.get("/ready")).status_code != 200
    except httpx.TransportError:
        return True


async def value(url: str, query: str) -> Any:
    """What a query gives, on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
