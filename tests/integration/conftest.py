from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.api import Api, running_api


@pytest.fixture(scope="module")
async def api(module_database_url: str) -> AsyncIterator[Api]:
    """A running API; the tests of a module share it, each with users of its own."""
    async with running_api(module_database_url) as running:
        yield running
