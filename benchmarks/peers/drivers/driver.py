"""What every Python peer's driver can do, as commands that print one line of JSON.

Runs in the peer's own environment: nothing but the standard library and uvloop is to be had here.
The commands and their answers are those of `driver.mjs`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import uvloop

Payload = dict[str, Any]
Handler = Callable[[Payload], None]

NOTHING: Final[Payload] = {"n": 1}
POLL_S: Final = 0.005
# A worker that has just started is left alone until it idles.
SETTLE_S: Final = 1.5
WARM_UP: Final = 10


class Driver(Protocol):
    """One peer, used as its documentation says."""

    async def install(self) -> None:
        """Make its tables."""

    async def prefill(self, jobs: int) -> None:
        """Queue no-op jobs with the rows that its API would write."""

    async def open(self, connections: int) -> None:
        """Get ready to enqueue from so many callers at once."""

    async def enqueue(self, payload: Payload) -> None:
        """One job, durable on return."""

    async def enqueue_many(self, payloads: Sequence[Payload]) -> None:
        """Many jobs in one call."""

    async def work(self, run: Handler, settings: Payload) -> None:
        """Start a worker that calls `run` for each job; return while it works."""

    async def is_empty(self) -> bool:
        """Whether the database says that every job is done."""


class Tally:
    """Counts no-op jobs from the first one's start."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self.handled = 0
        self.began = 0.0
        self.all_handled = asyncio.Event()

    def __call__(self, _: Payload) -> None:
        """Run one job."""
        if not self.handled:
            self.began = time.perf_counter()
        self.handled += 1
        if self.handled == self._jobs:
            self.all_handled.set()


async def drain(driver: Driver, jobs: int, **settings: Any) -> Payload:
    """From the first handler's start until the database says that all are done."""
    tally = Tally(jobs)
    await driver.work(tally, settings)
    await tally.all_handled.wait()
    while True:
        if await driver.is_empty():
            break
        await asyncio.sleep(POLL_S)
    return {"seconds": time.perf_counter() - tally.began, "handled": tally.handled}


async def enqueue(driver: Driver, callers: int, seconds: float) -> Payload:
    """Single jobs from callers that each wait for their answer."""
    await driver.open(callers)
    for _ in range(WARM_UP):
        await driver.enqueue(NOTHING)
    began = time.perf_counter()
    jobs = 0

    async def call() -> None:
        nonlocal jobs
        while time.perf_counter() < began + seconds:
            await driver.enqueue(NOTHING)
            jobs += 1

    await asyncio.gather(*(call() for _ in range(callers)))
    return {"jobs": jobs, "seconds": time.perf_counter() - began}


async def bulk(driver: Driver, jobs: int, size: int, callers: int) -> Payload:
    """Batches from callers that each wait for their answer."""
    await driver.open(callers)
    await driver.enqueue_many([NOTHING])
    batch = [NOTHING] * size
    calls = iter(range(jobs // size))

    async def call() -> None:
        for _ in calls:
            await driver.enqueue_many(batch)

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return {"jobs": jobs // size * size, "seconds": time.perf_counter() - began}


async def latency(driver: Driver, jobs: int, pause_s: float, **settings: Any) -> Payload:
    """From before the call to the handler's first line, one job after the other."""
    taken: list[float] = []
    started = asyncio.Event()

    def run(payload: Payload) -> None:
        taken.append(time.time() - payload["at"])
        started.set()

    await driver.open(2)
    await driver.work(run, settings)
    await asyncio.sleep(SETTLE_S)
    for _ in range(WARM_UP + jobs):
        started.clear()
        await driver.enqueue({"at": time.time()})
        await started.wait()
        await asyncio.sleep(pause_s)
    return {"ms": [1000 * each for each in taken[WARM_UP:]]}


async def _answer(driver: Driver, command: str, options: Payload) -> Payload:
    match command:
        case "install":
            await driver.install()
        case "prefill":
            await driver.prefill(**options)
        case "drain":
            return await drain(driver, **options)
        case "enqueue":
            return await enqueue(driver, **options)
        case "bulk":
            return await bulk(driver, **options)
        case "latency":
            return await latency(driver, **options)
        case _:
            raise ValueError(f"no such command: {command}")
    return {}


def _follow_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main(make: Callable[[str], Driver]) -> None:
    """Run `COMMAND DSN OPTIONS`, and end with the standard input, however whoever holds it dies."""
    command, dsn, options = sys.argv[1:]
    threading.Thread(target=_follow_parent, daemon=True).start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer = runner.run(_answer(make(dsn), command, json.loads(options)))
        print(json.dumps(answer), flush=True)
        os._exit(0)  # the worker is not asked to stop: its measure is taken
