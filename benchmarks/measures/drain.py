"""How fast waiting no-op jobs are run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

import psutil

from benchmarks.bench import NOOP, USERS, Bench
from benchmarks.errors import BenchError
from benchmarks.ours import history
from benchmarks.ours.store import BATCH
from benchmarks.peers.environments import Installed
from benchmarks.server import settle
from internal.domain.queues import QueueSettings
from internal.domain.submission import Submission

# Nobody has to wait for them, but every job passes the gate.
WIDE: Final = QueueSettings(max_running=10_000)
WIDE_KEYS: Final = QueueSettings(max_running_per_key=1_000)
KEYED: Final = [
    Submission(type=NOOP.type, payload=NOOP.payload, concurrency_key=f"customer {number}")
    for number in range(1_000)
]
# Every other job waits for the one before it; a batch, so that each name stands in it once.
PAIRED: Final = [
    job
    for number in range(BATCH // 2)
    for job in (
        Submission(type=NOOP.type, payload=NOOP.payload, name=f"parent {number}"),
        Submission(type=NOOP.type, payload=NOOP.payload, depends_on=(f"@parent {number}",)),
    )
]

# Caches are warm by then.
RUN_IN: Final = timedelta(seconds=2)


def drain(bench: Bench) -> None:
    """Everybody drains the same, by turns."""
    jobs = bench.sizes.drained
    for _ in range(bench.sizes.rounds):
        bench.note("drain", _ours(bench, jobs, users=1))
        bench.note("drain_many_users", _ours(bench, jobs, users=USERS))
        for peer in bench.peers:
            share = int(jobs * peer.peer.share)
            bench.note("drain", _theirs(bench, peer, share), system=peer.peer.name, jobs=share)


def two_processes(bench: Bench) -> None:
    """One worker process and two, by turns."""
    jobs = bench.sizes.drained_by_two
    for _ in range(bench.sizes.rounds):
        bench.note("drain_by_one", _ours(bench, jobs, users=1))
        bench.note("drain_by_two", _ours(bench, jobs, users=1, workers=2))


def waiting(bench: Bench) -> None:
    """What a long line costs: the rate with few waiting, and within longer ones."""
    _few(bench)
    _many(bench, "waiting_many", bench.sizes.waiting_many)
    if bench.sizes.waiting_most:
        _many(bench, "waiting_most", bench.sizes.waiting_most)


def gates(bench: Bench) -> None:
    """What it costs to pass gates that are open: limits, keys, and one other job to wait for."""
    jobs = bench.sizes.drained
    for _ in range(bench.sizes.rounds):
        bench.note("drain_free", _ours(bench, jobs, users=1))
        bench.note("drain_limited", _ours(bench, jobs, users=1, limits=WIDE))
        bench.note("drain_keyed", _ours(bench, jobs, users=1, limits=WIDE_KEYS, requests=KEYED))
        bench.note("drain_paired", _ours(bench, jobs, users=1, requests=PAIRED))


def _ours(
    bench: Bench,
    jobs: int,
    *,
    users: int,
    workers: int = 1,
    requests: Sequence[Submission] = (NOOP,),
    limits: QueueSettings | None = None,
) -> float:
    dsn = bench.fresh(users=users, jobs=jobs, requests=requests, limits=limits)
    with ExitStack() as stack:
        for number in range(workers):
            stack.enter_context(bench.commands.worker(dsn, number))
        return history.drained(dsn, jobs, workers)


def _theirs(bench: Bench, peer: Installed, jobs: int) -> float:
    dsn = bench.server.fresh(peer.peer.name)
    peer.tell("prefill", dsn, jobs=jobs)
    settle(dsn)
    said = peer.tell("drain", dsn, jobs=jobs, **peer.peer.drain)
    if said["handled"] != jobs:
        raise BenchError(f"{peer.peer.title} ran {said['handled']} times for {jobs} jobs")
    return float(jobs / said["seconds"])


def _few(bench: Bench) -> None:
    """Several short drains: a single one of so few jobs says little."""
    for _ in range(bench.sizes.rounds):
        bench.note("waiting_few", _ours(bench, bench.sizes.waiting_few, users=1))


def _many(bench: Bench, measure: str, jobs: int) -> None:
    """A window of a drain that is not waited for."""
    dsn = bench.fresh(users=1, jobs=jobs)
    window = timedelta(seconds=bench.sizes.window_s)
    with bench.commands.api(dsn):
        history.await_relayed(dsn)
    with bench.commands.worker(dsn) as process:
        start = history.await_first(dsn).began + RUN_IN
        time.sleep((RUN_IN + window).total_seconds())
        memory = psutil.Process(process.pid).memory_info().rss / 1e6
        left = jobs - _ended(dsn)
    if left <= 0:
        raise BenchError(f"{jobs} jobs were too few for {window.total_seconds()} s")
    bench.note(measure, history.rate_between(dsn, start, start + window), left=left)
    bench.note(f"{measure}_memory", memory)


def _ended(dsn: str) -> int:
    found = history.served(dsn)
    return found.attempts if found else 0
