from __future__ import annotations

import os

import pytest

from tests.support.histories import History
from tests.support.postgres import on_every_postgres
from tests.support.store import open_store

# A few thousand find what a few dozen do not; they take some minutes.
STEPS = int(os.environ.get("WINDLASS_HISTORY_STEPS", "100"))
SEED = int(os.environ.get("WINDLASS_HISTORY_SEED", "1"))


@on_every_postgres
@pytest.mark.timeout(0 if STEPS > 100 else 120)
async def test_whatever_happens_at_once_every_promise_holds(database_url: str) -> None:
    async with open_store(database_url) as store:
        history = History(store, SEED)
        await history.begin()
        for _ in range(STEPS):
            await history.step()
