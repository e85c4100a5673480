"""Windlass's own commands, run as an operator runs them."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.ours.client import Client
from benchmarks.places import ROOT
from benchmarks.processes import last_words, running

START_S: Final = 60.0
HANDLERS: Final = "benchmarks.ours.handlers"
_OF_OTHERS: Final = ("WINDLASS_", "DATABASE_URL", "HOST", "PORT", "PG")


class Address(msgspec.Struct, frozen=True):
    """A process that answers HTTP on the loopback."""

    port: int
    pid: int

    def client(self, token: str) -> Client:
        """A connection of one user."""
        return Client(self.port, token)


class Commands:
    """Every process of a run has the same secret, so that tokens issued once hold for all."""

    def __init__(self) -> None:
        self._secret = secrets.token_hex(32)

    def environment(self, dsn: str, **settings: str) -> dict[str, str]:
        """Ours without any setting of the caller's; `settings` are written in lower case."""
        inherited = {
            name: each for name, each in os.environ.items() if not name.startswith(_OF_OTHERS)
        }
        own = {f"WINDLASS_{name.upper()}": value for name, value in settings.items()}
        return {
            **inherited,
            "DATABASE_URL": dsn,
            "WINDLASS_JWT_SECRET": self._secret,
            "WINDLASS_HANDLERS": HANDLERS,
            "WINDLASS_LOG_FORMAT": "json",
            "PYTHONPATH": str(ROOT),
            **own,
        }

    def migrate(self, dsn: str) -> None:
        """Make the tables."""
        with running("migrate", (_program(), "migrate", "up"), self.environment(dsn)) as process:
            if process.wait() != 0:
                raise BenchError(f"windlass migrate up failed: {last_words('migrate')}")

    @contextmanager
    def worker(
        self, dsn: str, number: int = 1, **settings: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """One worker process; it is not waited for."""
        command = (_program(), "worker", "--supervised")
        with running(f"worker-{number}", command, self.environment(dsn, **settings)) as process:
            yield process

    @contextmanager
    def api(self, dsn: str) -> Iterator[Address]:
        """One API process that is ready."""
        command = (_program(), "api", "--supervised")
        with listening("api", command, self.environment(dsn), "/ready") as address:
            yield address

    @contextmanager
    def module(self, dsn: str, name: str, order: msgspec.Struct) -> Iterator[None]:
        """One of our own modules that works beside a measure; `order` says what it does."""
        said = msgspec.json.encode(order).decode()
        command = (sys.executable, "-m", f"benchmarks.ours.{name}", said)
        with running(name, command, self.environment(dsn)):
            yield


@contextmanager
def listening(
    name: str, command: tuple[str | Path, ...], environment: dict[str, str], path: str
) -> Iterator[Address]:
    """Run a server on a free port, given to it as PORT, once it answers at `path`."""
    port = _free_port()
    with running(name, command, environment | {"PORT": str(port)}) as process:
        deadline = time.monotonic() + START_S
        while not Client(port).answers(path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{name} did not get ready: {last_words(name)}")
            time.sleep(0.05)
        yield Address(port, process.pid)


def _program() -> Path:
    return Path(sys.executable).with_name("windlass")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
