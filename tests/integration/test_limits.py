from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest

from internal.domain.handlers import JobContext, handler
from tests.support.api import Api, SignedUp, running_api
from tests.support.conditions import eventually
from tests.support.workers import running_worker

Payload = dict[str, Any]


async def set_limits(user: SignedUp, queue: str, **settings: Any) -> dict[str, Any]:
    answer = await user.client.put(f"/v1/queues/{queue}", json=settings)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def submit_all(user: SignedUp, jobs: list[dict[str, Any]]) -> list[str]:
    answer = await user.client.post("/v1/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 201, answer.text
    return [each["id"] for each in answer.json()["data"]["jobs"]]


class Meter:
    """A job type that notes how many of its jobs run at a time, in all and by key."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.running: defaultdict[str, int] = defaultdict(int)
        self.most: defaultdict[str, int] = defaultdict(int)
        self.started: list[tuple[float, str]] = []
        self.ended = 0

        @handler("metered")
        async def metered(job: Payload, ctx: JobContext) -> None:
            for key in ("", job.get("key", "none")):
                self.running[key] += 1
                self.most[key] = max(self.most[key], self.running[key])
            self.started.append((time.monotonic(), job.get("key", "none")))
            await asyncio.sleep(self.seconds)
            for key in ("", job.get("key", "none")):
                self.running[key] -= 1
            self.ended += 1

        self.handler = metered


async def test_a_queue_runs_no_more_than_it_may(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    await set_limits(user, "narrow", max_running=3)
    await submit_all(user, [{"type": "metered", "queue": "narrow"}] * 40)
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 40)

    assert meter.most[""] == 3


async def test_a_key_runs_one_job_at_a_time_and_hides_no_other(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0.02)
    keyed = [
        {"type": "metered", "concurrency_key": key, "payload": {"key": key}}
        for key in ("a", "b", "c")
        for _ in range(10)
    ]
    await submit_all(user, [*keyed, {"type": "metered"}])
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 31)

    assert {key: meter.most[key] for key in ("a", "b", "c")} == {"a": 1, "b": 1, "c": 1}
    assert meter.most[""] >= 3


async def test_starts_keep_to_a_rate(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0)
    await set_limits(user, "slow", rate_limit={"limit": 50, "burst": 5})
    await submit_all(user, [{"type": "metered", "queue": "slow"}] * 60)
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 60)

    times = [at for at, _ in meter.started]
    print(times[-1] - times[0])
    assert times[-1] - times[0] >= 1.0


@pytest.fixture(scope="module")
async def api(module_database_url: str) -> AsyncIterator[Api]:
    async with running_api(module_database_url) as running:
        yield running
