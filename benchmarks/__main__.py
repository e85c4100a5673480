"""`make bench`: Windlass and other queues, measured by turns on one PostgreSQL server."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import psutil

from benchmarks import server
from benchmarks.bench import Bench, install_peers
from benchmarks.errors import BenchError
from benchmarks.measures import drain, endurance, fairness, latency, submission
from benchmarks.ours.commands import Commands
from benchmarks.places import LATEST, ROOT
from benchmarks.report import report
from benchmarks.results import FULL, OURS, QUICK, Results, save


class Measure(msgspec.Struct, frozen=True):
    """Something to choose by name."""

    run: Callable[[Bench], None]
    is_quick: bool = True


MEASURES: Final = {
    "drain": Measure(drain.drain),
    "processes": Measure(drain.two_processes),
    "waiting": Measure(drain.waiting, is_quick=False),
    "gates": Measure(drain.gates),
    "submit": Measure(submission.submit),
    "batch": Measure(submission.batch),
    "idle": Measure(latency.idle),
    "behind": Measure(latency.behind_backlog, is_quick=False),
    "long": Measure(latency.behind_long_jobs),
    "equal": Measure(fairness.equal_users),
    "weights": Measure(fairness.weights),
    "steady": Measure(endurance.steady, is_quick=False),
    "sockets": Measure(endurance.sockets, is_quick=False),
    "heard": Measure(endurance.heard, is_quick=False),
}


def main() -> None:
    """Measure what was chosen, keep the results, and print the table."""
    chosen = _arguments()
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what it started ends with it
    _allow_many_sockets()
    results = _results(full=chosen.full)
    try:
        _run(results, chosen.only or _usual(full=chosen.full))
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was left running")
    print(f"\n{report(results)}\nKept in {LATEST.relative_to(ROOT)}.")


def _run(results: Results, names: Sequence[str]) -> None:
    print("Environments of the other queues:")
    peers = install_peers(results)
    with server.started() as postgres:
        results.versions["postgresql"] = postgres.version()
        bench = Bench(postgres, Commands(), peers, results)
        bench.prepare()
        for name in names:
            bench.say(f"-- {name}")
            try:
                MEASURES[name].run(bench)
            except BenchError as error:
                results.failed[name] = str(error)
                bench.say(f"no figure: {error}")
            save(results, LATEST)
        bench.say("done")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all of it, most of it several times")
    parser.add_argument(
        "--only",
        type=_names,
        metavar="NAME,...",
        help=f"some of: {', '.join(MEASURES)} (quickly: {', '.join(_usual(full=False))})",
    )
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - MEASURES.keys():
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
    return names


def _usual(*, full: bool) -> list[str]:
    return [name for name, measure in MEASURES.items() if full or measure.is_quick]


def _results(*, full: bool) -> Results:
    node = Path(sys.executable).with_name("node")
    said = subprocess.run((node, "--version"), check=False, capture_output=True, text=True)
    return Results(
        taken_at=datetime.now(UTC),
        full=full,
        sizes=FULL if full else QUICK,
        machine={
            "cores": str(os.cpu_count()),
            "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
            "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        },
        versions={
            OURS: version("windlass"),
            "python": platform.python_version(),
            "node": said.stdout.strip().removeprefix("v"),
        },
    )


def _allow_many_sockets() -> None:
    """Two thousand live connections need as many files here and in the API process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
