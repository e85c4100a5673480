"""How fast jobs are taken in."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import msgspec

from benchmarks.bench import Bench
from benchmarks.errors import BenchError
from benchmarks.ours import history
from benchmarks.ours.commands import Address, listening
from benchmarks.ours.load import Answers, Load
from benchmarks.processes import answer

CALLERS: Final = 32
BULK_CALLERS: Final = 4
BULK_SIZE: Final = 1_000
JOB: Final[dict[str, Any]] = {"type": "bench.noop", "payload": {"n": 1}}


def submit(bench: Bench) -> None:
    """One job a call: ours over HTTP, a route that does nothing, and the peers without HTTP."""
    seconds = bench.sizes.calling_s
    for _ in range(bench.sizes.rounds):
        _hello(bench)
        _ours(bench, "submit", "/v1/jobs", JOB, CALLERS)
        for peer in bench.peers:
            dsn = bench.server.fresh(peer.peer.name)
            said = peer.tell("enqueue", dsn, callers=CALLERS, seconds=seconds)
            bench.note("submit", said["jobs"] / said["seconds"], system=peer.peer.name)


def batch(bench: Bench) -> None:
    """A thousand jobs a call: ours over HTTP, the peers without."""
    body = {"jobs": [JOB] * BULK_SIZE}
    for _ in range(bench.sizes.rounds):
        _ours(bench, "batch", "/v1/jobs/batch", body, BULK_CALLERS, jobs=BULK_SIZE)
        for peer in bench.peers:
            dsn = bench.server.fresh(peer.peer.name)
            options = {"jobs": bench.sizes.bulk, "size": BULK_SIZE, "callers": BULK_CALLERS}
            said = peer.tell("bulk", dsn, **options)
            bench.note("batch", said["jobs"] / said["seconds"], system=peer.peer.name)


def _hello(bench: Bench) -> None:
    command = (sys.executable, "-m", "benchmarks.ours.hello")
    environment = bench.commands.environment("")
    with listening("hello", command, environment, "/hello") as server:
        answers = _send(bench, server, "GET", "/hello", CALLERS)
    bench.note("submit", answers.answers / answers.seconds, system="hello", load=_load(answers))


def _ours(
    bench: Bench, measure: str, path: str, body: dict[str, Any], callers: int, *, jobs: int = 1
) -> None:
    dsn = bench.fresh()
    with bench.commands.api(dsn) as api:
        answers = _send(
            bench, api, "POST", path, callers, token=bench.users[0].token, body=json.dumps(body)
        )
    acknowledged, kept = answers.answers * jobs, history.jobs_kept(dsn)
    if kept < acknowledged:
        raise BenchError(f"{acknowledged} jobs were acknowledged, and {kept} are there")
    bench.note(measure, acknowledged / answers.seconds, load=_load(answers))


def _send(
    bench: Bench, server: Address, method: str, path: str, callers: int, **more: str
) -> Answers:
    load = Load(server.port, method, path, callers, bench.sizes.calling_s, **more)
    command = (sys.executable, "-m", "benchmarks.ours.load", msgspec.json.encode(load).decode())
    said = answer("load", command, bench.commands.environment(""))
    return msgspec.convert(said, Answers)


def _load(answers: Answers) -> str:
    """What share of a processor the sender took: far below 100 % it was not what held things up."""
    return f"{answers.cpu_seconds / answers.seconds:.0%}"
