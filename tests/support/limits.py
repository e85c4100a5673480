"""What tests of queues ask of the API, and a job type that sees how limits are kept."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from typing import Any, Final
from urllib.parse import quote

import httpx

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from tests.support.api import SignedUp

Payload = dict[str, Any]

_numbers = itertools.count(1)

NOTHING: Final = dict.fromkeys(
    ("blocked", "scheduled", "queued", "running", "succeeded", "failed", "canceled"), 0
)

UNLIMITED: Final[dict[str, Any]] = {
    "max_running": None,
    "rate_limit": None,
    "max_running_per_key": 1,
    "rate_limit_per_key": None,
}


def path_of(queue: str) -> str:
    """Of a queue, whatever its name."""
    return f"/v1/queues/{quote(queue, safe='')}"


async def set_limits(user: SignedUp, queue: str, **settings: Any) -> dict[str, Any]:
    return found(await user.client.put(path_of(queue), json=settings))


async def pause(user: SignedUp, queue: str) -> dict[str, Any]:
    return found(await user.client.post(f"{path_of(queue)}/pause"))


async def resume(user: SignedUp, queue: str) -> dict[str, Any]:
    return found(await user.client.post(f"{path_of(queue)}/resume"))


async def queue_of(user: SignedUp, queue: str) -> dict[str, Any]:
    return found(await user.client.get(path_of(queue)))


async def submit(user: SignedUp, **job: Any) -> str:
    answer = await user.client.post("/v1/jobs", json=job)
    assert answer.status_code == 201, answer.text
    job_id: str = answer.json()["data"]["id"]
    return job_id


async def submit_all(user: SignedUp, jobs: list[dict[str, Any]]) -> list[str]:
    answer = await user.client.post("/v1/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 201, answer.text
    return [each["id"] for each in answer.json()["data"]["jobs"]]


async def job_of(user: SignedUp, job_id: str) -> dict[str, Any]:
    return found(await user.client.get(f"/v1/jobs/{job_id}"))


def found(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in {200, 202}, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


class Meter:
    """A job type that notes how many of its jobs run at a time, in all and by key."""

    def __init__(self, seconds: float = 0.01, type_: str | None = None) -> None:
        self.seconds = seconds
        # Its own, so that it has nothing to do with what other tests have left in line.
        self.type = type_ or f"metered-{next(_numbers)}"
        self.running: defaultdict[str, int] = defaultdict(int)
        self.most: defaultdict[str, int] = defaultdict(int)
        self.started: list[tuple[float, str]] = []
        self.ended = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

        @handler(self.type)
        async def metered(job: Payload, ctx: JobContext) -> None:
            keys = {"", job.get("key", "none")}
            for key in keys:
                self.running[key] += 1
                self.most[key] = max(self.most[key], self.running[key])
            self.started.append((time.monotonic(), job.get("key", "none")))
            try:
                await asyncio.sleep(self.seconds)
                await self.go_on.wait()
            finally:
                for key in keys:
                    self.running[key] -= 1
            self.ended += 1

        self.handler = metered

    def starts(self, key: str | None = None) -> list[float]:
        """When jobs started, those of a key or all."""
        return [at for at, each in self.started if key in {None, each}]


def check_rate(starts: list[float], since: float, *, per_s: float, burst: int) -> None:
    """No more started than a bucket that was full `since` gave out, however late one saw them."""
    for number, at in enumerate(starts, 1):
        most = burst + per_s * (at - since)
        assert number <= most, f"{number} starts in {at - since:.3f} s, at most {most:.1f} may be"
