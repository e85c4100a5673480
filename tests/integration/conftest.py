from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.api import Api, running_api
from tests.support.store import Store, open_store
from tests.support.wire import Wire, wiretap


@pytest.fixture(scope="module")
async def api(module_database_url: str) -> AsyncIterator[Api]:
    """A running API; the tests of a module share it, each with users of its own."""
    async with running_api(module_database_url) as running:
        yield running


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """The store on a database of the test's own."""
    async with open_store(database_url) as store:
        yield store


@pytest.fixture
async def elsewhere(module_database_url: str) -> AsyncIterator[Store]:
    """The store of another process, with its own connection for wake-ups."""
    async with open_store(module_database_url) as store:
        listener = asyncio.create_task(store.wakeups.run())
        yield store
        listener.cancel()
        await asyncio.wait([listener])


@pytest.fixture
async def tapped(database_url: str) -> AsyncIterator[tuple[Store, Wire]]:
    """The store, and what it asks of the database."""
    async with wiretap(database_url) as (url, wire), open_store(url) as store:
        yield store, wire
