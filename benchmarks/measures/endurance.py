"""What lasts: a steady load, many live connections, somebody who watches."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack, nullcontext
from datetime import timedelta
from typing import Final

import psutil
import websockets

from benchmarks import sql
from benchmarks.bench import NOOP, Bench
from benchmarks.ours import history
from benchmarks.ours.feeder import Feed
from benchmarks.ours.listener import Listen

PER_SECOND: Final = 5_000
AT_ONCE: Final = 50
WATCH_S: Final = 2.0
LARGEST: Final = 6


def steady(bench: Bench) -> None:
    """A steady load without and with a snapshot that another session holds."""
    _steady(bench, "steady", held=False)
    _steady(bench, "steady_held", held=True)


def sockets(bench: Bench) -> None:
    """The memory of an API process with many live connections."""
    dsn = bench.fresh()
    with bench.commands.api(dsn) as api:
        process = psutil.Process(api.pid)
        before = process.memory_info().rss
        asyncio.run(_open(bench, api.port, process))
        bench.results.readings[-1].details[-1]["before"] = round(before / 1e6)


def heard(bench: Bench) -> None:
    """A drain while nobody and while somebody listens to its events, by turns."""
    for _ in range(bench.sizes.rounds):
        _heard(bench, "drain_unheard", listening=False)
        _heard(bench, "drain_heard", listening=True)


def _steady(bench: Bench, measure: str, *, held: bool) -> None:
    dsn = bench.fresh()
    feed = Feed(bench.users[0].actor, NOOP, per_second=PER_SECOND)
    with ExitStack() as stack:
        stack.enter_context(sql.held_snapshot(dsn) if held else nullcontext())
        stack.enter_context(bench.commands.worker(dsn))
        stack.enter_context(bench.commands.module(dsn, "feeder", feed))
        start = history.await_first(dsn).began
        time.sleep(bench.sizes.steady_s)
        submitted = history.jobs_kept(dsn)
        sizes = history.sizes(dsn)
    # Only the second half: what piles up is felt late.
    end = start + timedelta(seconds=bench.sizes.steady_s)
    rate = history.rate_between(dsn, start + (end - start) / 2, end)
    found = history.served(dsn)
    left = submitted - (found.attempts if found else 0)
    largest = {name: f"{size / 1e6:.0f} MB" for name, size in [*sizes.items()][:LARGEST]}
    bench.note(measure, rate, left=max(0, left), **largest)


async def _open(bench: Bench, port: int, process: psutil.Process) -> None:
    url = f"ws://127.0.0.1:{port}/v1/ws/jobs"
    gate = asyncio.Semaphore(AT_ONCE)

    async def connect(number: int) -> None:
        token = bench.users[number % len(bench.users)].token
        headers = {"Authorization": f"Bearer {token}"}
        async with gate:
            socket = await stack.enter_async_context(
                websockets.connect(url, additional_headers=headers, compression=None)
            )
            await socket.recv()

    async with AsyncExitStack() as stack:
        await asyncio.gather(*(connect(number) for number in range(bench.sizes.sockets)))
        await asyncio.sleep(WATCH_S)
        memory = process.memory_info().rss / 1e6
    bench.note("sockets_memory", memory, sockets=bench.sizes.sockets)


def _heard(bench: Bench, measure: str, *, listening: bool) -> None:
    dsn = bench.fresh(users=1, jobs=bench.sizes.heard)
    with ExitStack() as stack:
        api = stack.enter_context(bench.commands.api(dsn))
        if listening:
            listen = Listen(api.port, bench.users[0].token)
            stack.enter_context(bench.commands.module(dsn, "listener", listen))
            time.sleep(WATCH_S)
        stack.enter_context(bench.commands.worker(dsn))
        rate = history.drained(dsn, bench.sizes.heard, 1)
    bench.note(measure, rate)
