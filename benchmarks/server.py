"""The one PostgreSQL server that everybody is measured on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from benchmarks import sql
from benchmarks.places import DATA
from internal.adapters.embedded import EmbeddedServer, data_directory

# Durability and all the rest are as PostgreSQL has them, but for jit and the time zone, which the
# embedded server sets.
OPTIONS: Final = {"shared_buffers": "1GB", "max_connections": "200", "max_wal_size": "4GB"}
# A process that was just ended may still be connected, and what is in use is not copied.
FREE: Final = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1"


class Server:
    """Databases that are made as copies: each run has tables that nobody has used."""

    def __init__(self, dsn: str) -> None:
        self._any = urlsplit(dsn)
        self.dsn = self._of("postgres")

    def version(self) -> str:
        """PostgreSQL's own, such as 18.1."""
        (row,) = sql.fetch(self.dsn, "show server_version")
        return str(row[0])

    def prepare(self, name: str, install: Callable[[str], None]) -> None:
        """Make the original that `fresh` copies."""
        original = _original(name)
        sql.execute(self.dsn, f"create database {original}")
        install(self._of(original))

    def fresh(self, name: str) -> str:
        """The DSN of a new copy; the one before it is dropped."""
        original = _original(name)
        self.drop(name)
        sql.fetch(self.dsn, FREE, original)
        sql.execute(self.dsn, f"create database {name} template {original}")
        return self._of(name)

    def drop(self, name: str) -> None:
        """Give the room of the last copy back."""
        sql.execute(self.dsn, f"drop database if exists {name} with (force)")

    def _of(self, database: str) -> str:
        return urlunsplit(self._any._replace(path=f"/{database}"))


@contextmanager
def started(folder: Path = DATA) -> Iterator[Server]:
    """Run a server of our own in an empty folder, which is empty again afterwards."""
    with data_directory(folder):
        server = EmbeddedServer(folder, options=OPTIONS)
        server.stop()  # one that a killed run left
        _empty(folder)
        try:
            yield Server(server.start())
        finally:
            server.stop()
            _empty(folder)


def settle(dsn: str) -> None:
    """Leave nothing for autovacuum and the checkpointer to begin in the middle of a measure."""
    sql.execute(dsn, "vacuum analyze", "checkpoint")


def _original(name: str) -> str:
    return f"original_{name}"


def _empty(folder: Path) -> None:
    for name in ("postgres", "postgres.new"):
        shutil.rmtree(folder / name, ignore_errors=True)
