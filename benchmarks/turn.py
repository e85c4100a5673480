"""One turn of a comparison: a checkout's drain and idle latency, by its own modules.

`benchmarks.compare` runs this file with the Python of either checkout, so it asks of the other
modules here only what every checkout has.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import msgspec

from benchmarks.bench import Bench
from benchmarks.measures import drain, latency
from benchmarks.ours.commands import Commands
from benchmarks.results import FULL, OURS, Results
from benchmarks.server import Server


def main() -> None:
    """Measure on the server whose DSN is the argument; the last line has the figures."""
    server = Server(sys.argv[1])
    server.drop(OURS)
    server.drop(f"original_{OURS}")
    results = Results(
        taken_at=datetime.now(UTC),
        full=True,
        sizes=msgspec.structs.replace(FULL, rounds=1),
        machine={},
        versions={},
    )
    bench = Bench(server, Commands(), (), results)
    bench.prepare()
    drain.drain(bench)
    latency.idle(bench)
    figures = {reading.measure: reading.median for reading in results.readings}
    print(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    main()
