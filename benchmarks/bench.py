"""What every measure has at hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from benchmarks.errors import BenchError
from benchmarks.ours.commands import Commands
from benchmarks.ours.store import Environment, User, make_users, prefill, set_limits
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.environments import Installed, install
from benchmarks.results import OURS, Results, Sizes
from benchmarks.server import Server, settle
from internal.domain.queues import QueueSettings
from internal.domain.submission import Submission

USERS = 100
NOOP = Submission(type="bench.noop", payload=msgspec.Raw(b'{"n":1}'))


class Bench:
    """One server, everybody's tables, and the figures so far."""

    def __init__(
        self, server: Server, commands: Commands, peers: Sequence[Installed], results: Results
    ) -> None:
        self.server = server
        self.commands = commands
        self.peers = peers
        self.results = results
        self.users: Sequence[User] = ()
        self._began = time.monotonic()

    @property
    def sizes(self) -> Sizes:
        """How much to measure."""
        return self.results.sizes

    def prepare(self) -> None:
        """Make everybody's tables, and our users."""
        self.server.prepare(OURS, self._install)
        for peer in self.peers:
            self.server.prepare(peer.peer.name, peer.install_tables)

    def note(self, measure: str, value: float, *, system: str = OURS, **details: Any) -> None:
        """Keep a figure and print it."""
        self.results.add(measure, system, value, details)
        figure = f"{value:,.3f}" if value < 10 else f"{value:,.1f}"  # noqa: PLR2004 - some digits
        self.say(f"{measure:24} {system:16} {figure:>12}  {_told(details)}".rstrip())

    def say(self, line: str) -> None:
        """Print a line with the time since the start."""
        print(f"{time.monotonic() - self._began:6.0f} s  {line}", flush=True)

    def fresh(
        self,
        *,
        users: int = 0,
        jobs: int = 0,
        requests: Sequence[Submission] = (NOOP,),
        limits: QueueSettings | None = None,
    ) -> str:
        """A new database of ours, with jobs of the first so many users waiting in it.

        The jobs are like `requests` by turns; `limits` are those of each user's default queue.
        """
        dsn = self.server.fresh(OURS)
        if limits is not None:
            set_limits(self.environment(dsn), self.users[:users], limits)
        if jobs:
            prefill(self.environment(dsn), self.users[:users], requests, jobs)
        settle(dsn)
        return dsn

    def environment(self, dsn: str) -> Environment:
        """That of a process of ours."""
        return self.commands.environment(dsn)

    def _install(self, dsn: str) -> None:
        self.commands.migrate(dsn)
        self.users = make_users(self.environment(dsn), USERS)


def install_peers(results: Results) -> list[Installed]:
    """Those that this machine can have; why it cannot have the others goes to the results."""
    installed = []
    for peer in PEERS:
        print(f"          {peer.title} {peer.version} ...", flush=True)
        try:
            installed.append(install(peer))
            results.versions[peer.name] = peer.version
        except BenchError as error:
            results.left_out[peer.name] = str(error)
            print(f"          left out: {error}", flush=True)
    return installed


def _told(details: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items())
