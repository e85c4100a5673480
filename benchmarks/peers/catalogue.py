"""The queues that Windlass is measured beside, and the settings that suited each best.

The settings come from trying several on this no-op job: what is fastest here is not what one would
run real jobs with. A local queue of 2,000 jobs, say, hides them from idle workers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec


class Runtime(StrEnum):
    """What a peer is written for."""

    PYTHON = "Python"
    NODE = "Node"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A queue with its driver in `drivers/`.

    `share` is how much of the drain it is given: the slow ones would take minutes with all of it.
    """

    name: str
    title: str
    runtime: Runtime
    packages: tuple[str, ...]
    drain: dict[str, Any]
    latency: dict[str, Any]
    share: float = 1.0
    python: tuple[int, int] = (3, 11)

    @property
    def version(self) -> str:
        """Its own release, without those of what it needs."""
        return self.packages[0].replace("==", "@").rpartition("@")[2]


PEERS: Final = (
    Peer(
        name="pgqueuer",
        title="PgQueuer",
        runtime=Runtime.PYTHON,
        packages=("pgqueuer[cli]==1.6.0", "asyncpg==0.32.0", "uvloop==0.23.0"),
        drain={"batch_size": 500},
        latency={"batch_size": 10},
    ),
    Peer(
        name="procrastinate",
        title="Procrastinate",
        runtime=Runtime.PYTHON,
        packages=("procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9", "uvloop==0.23.0"),
        drain={"concurrency": 10},
        latency={"concurrency": 10},
        share=0.04,
    ),
    Peer(
        name="oban",
        title="Oban (Python)",
        runtime=Runtime.PYTHON,
        packages=("oban==0.7.0", "psycopg[binary,pool]==3.3.9", "uvloop==0.23.0"),
        drain={"limit": 50},
        latency={"limit": 10},
        share=0.08,
        python=(3, 12),
    ),
    Peer(
        name="graphile_worker",
        title="Graphile Worker",
        runtime=Runtime.NODE,
        packages=("graphile-worker@0.18.0", "pg@8.23.1"),
        drain={"concurrent": 24, "queue": 2000, "delay_ms": 50},
        latency={"concurrent": 10, "queue": 500, "delay_ms": 0},
    ),
    Peer(
        name="pg_boss",
        title="pg-boss",
        runtime=Runtime.NODE,
        packages=("pg-boss@12.38.0", "pg@8.23.1"),
        drain={"batch": 2000, "workers": 2},
        latency={"batch": 10, "workers": 1},
    ),
)
