from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.postgres import EMBEDDED, Servers


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.stop()


@pytest.fixture
def postgres_version(request: pytest.FixtureRequest) -> str:
    """WINDLASS_TEST_POSTGRES=15 runs the whole suite on Debian's server."""
    version: str = getattr(request, "param", _default_version())
    return version


@pytest.fixture
async def database_url(postgres_servers: Servers, postgres_version: str) -> AsyncIterator[str]:
    """A fresh migrated database for one test."""
    async with postgres_servers.get(postgres_version).database() as url:
        yield url


@pytest.fixture(scope="module")
async def module_database_url(postgres_servers: Servers) -> AsyncIterator[str]:
    """A fresh migrated database that the tests of a module share."""
    async with postgres_servers.get(_default_version()).database() as url:
        yield url


def _default_version() -> str:
    return os.environ.get("WINDLASS_TEST_POSTGRES", EMBEDDED)
