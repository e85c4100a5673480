"""How soon a submitted job starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

import msgspec

from benchmarks.bench import Bench
from benchmarks.errors import BenchError
from benchmarks.figures import percentile
from benchmarks.ours import history
from benchmarks.ours.feeder import Feed
from benchmarks.results import OURS
from internal.domain.submission import Submission

WARM_UP: Final = 10
# Long enough for a worker to be idle again, and odd enough not to fall in step with a poll.
PAUSE_S: Final = 0.037
SETTLE_S: Final = 1.5

SHORT: Final = Submission(type="bench.sleep", payload=msgspec.Raw(b'{"seconds":0.005}'))
LONG: Final = Submission(type="bench.sleep", payload=msgspec.Raw(b'{"seconds":60}'))
LONG_JOBS: Final = 500
LONG_SAMPLES: Final = 5
# Beyond that a job of the light user counts as starved.
PATIENCE_S: Final = 20.0


def idle(bench: Bench) -> None:
    """With an idle worker: ours over HTTP, the peers from a call in the worker's own process."""
    jobs = bench.sizes.started
    for _ in range(bench.sizes.rounds):
        _note(bench, "idle", _idle(bench, jobs))
        for peer in bench.peers:
            dsn = bench.server.fresh(peer.peer.name)
            said = peer.tell("latency", dsn, jobs=jobs, pause_s=PAUSE_S, **peer.peer.latency)
            _note(bench, "idle", said["ms"], system=peer.peer.name)


def behind_backlog(bench: Bench) -> None:
    """A light user's jobs while a heavy one keeps the worker busy, with few and many waiting."""
    _behind(bench, "behind_few", bench.sizes.behind_few)
    _behind(bench, "behind_many", bench.sizes.behind_many)


def behind_long_jobs(bench: Bench) -> None:
    """A light user's jobs while a heavy one's fill the pool for a minute."""
    light = bench.users[1]
    dsn = bench.fresh(users=1, jobs=LONG_JOBS, requests=(LONG,))
    with (
        bench.commands.api(dsn) as api,
        bench.commands.worker(dsn, shutdown_grace="0s"),
    ):
        client = api.client(bench.users[0].token)
        running = _await_full(lambda: client.get("/v1/stats")["counts"]["by_status"]["running"])
        mine = api.client(light.token)
        waits = mine.waits_ms(mine.submit_clocks(LONG_SAMPLES, 0.5), PATIENCE_S)
    bench.note("behind_long", max(waits), running=running, median=round(percentile(waits, 0.5), 1))


def _idle(bench: Bench, jobs: int) -> list[float]:
    dsn = bench.fresh()
    with bench.commands.api(dsn) as api, bench.commands.worker(dsn):
        client = api.client(bench.users[0].token)
        client.waits_ms(client.submit_clocks(1, 0), PATIENCE_S)
        time.sleep(SETTLE_S)
        client.submit_clocks(WARM_UP, PAUSE_S)
        return client.waits_ms(client.submit_clocks(jobs, PAUSE_S), PATIENCE_S)


def _behind(bench: Bench, measure: str, waiting: int) -> None:
    heavy, light = bench.users[:2]
    dsn = bench.fresh(users=1, jobs=waiting, requests=(SHORT,))
    feed = Feed(heavy.actor, SHORT, waiting=waiting)
    with ExitStack() as stack:
        api = stack.enter_context(bench.commands.api(dsn))
        history.await_relayed(dsn)
        stack.enter_context(bench.commands.module(dsn, "feeder", feed))
        stack.enter_context(bench.commands.worker(dsn))
        start = history.await_first(dsn).began
        time.sleep(SETTLE_S)
        client = api.client(light.token)
        sent = client.submit_clocks(bench.sizes.behind_samples, PAUSE_S)
        waits = client.waits_ms(sent, PATIENCE_S)
    found = history.served(dsn)
    served = found.attempts / (found.ended - start).total_seconds() if found else 0
    _note(bench, measure, waits, waiting=waiting, jobs_per_s=round(served))


def _note(
    bench: Bench, measure: str, waits: Sequence[float], *, system: str = OURS, **details: int
) -> None:
    bench.note(f"{measure}_p50", percentile(waits, 0.5), system=system, **details)
    bench.note(f"{measure}_p99", percentile(waits, 0.99), system=system)


def _await_full(running: Callable[[], int]) -> int:
    """Wait until no further job starts; returns how many run."""
    deadline, before = time.monotonic() + PATIENCE_S, 0
    while time.monotonic() < deadline:
        time.sleep(1)
        now = running()
        if 0 < now == before:
            return now
        before = now
    raise BenchError("the worker did not fill its slots")
