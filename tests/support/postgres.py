"""Real PostgreSQL servers for tests: a database is a clone of a template that was migrated once."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from internal.adapters.embedded import EmbeddedServer
from internal.bootstrap.migrations import migrate_up

EMBEDDED: Final = "embedded"
DEBIAN_15: Final = "15"

_BINARIES: Final = {EMBEDDED: None, DEBIAN_15: Path("/usr/lib/postgresql/15/bin")}
# A test's database need not survive a crash of the machine.
_FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_TEMPLATE: Final = "migrated"

# For tests whose SQL must hold on the oldest supported server too; the others run on one.
on_every_postgres = pytest.mark.parametrize(
    "postgres_version", [EMBEDDED, DEBIAN_15], indirect=True
)


class Server:
    """A server in a temporary folder."""

    def __init__(self, version: str) -> None:
        binaries = _BINARIES[version]
        if binaries is not None and not binaries.is_dir():
            pytest.skip(f"PostgreSQL {version} is not installed here ({binaries})")
        self._folder = Path(tempfile.mkdtemp(prefix="windlass-test-"))
        self._server = EmbeddedServer(self._folder, binaries=binaries, options=_FAST)
        self._dsn = self._server.start()
        self._numbers = itertools.count(1)
        self._has_template = False

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The URL of a fresh, migrated database that is dropped in the end."""
        await self._ensure_template()
        name = f"test_{next(self._numbers)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        try:
            yield self._url(name)
        finally:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        self._server.stop()
        shutil.rmtree(self._folder)

    async def _ensure_template(self) -> None:
        if not self._has_template:
            await self._execute(f"CREATE DATABASE {_TEMPLATE}")
            await migrate_up(self._url(_TEMPLATE))
            self._has_template = True

    def _url(self, database: str) -> str:
        return self._dsn.replace("/windlass?", f"/{database}?")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class Servers:
    """One server of each version, started when a test first asks for it."""

    def __init__(self) -> None:
        self._by_version: dict[str, Server] = {}

    def get(self, version: str) -> Server:
        if version not in self._by_version:
            self._by_version[version] = Server(version)
        return self._by_version[version]

    def stop(self) -> None:
        for server in self._by_version.values():
            server.stop()
