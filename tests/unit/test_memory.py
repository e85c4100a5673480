from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import psutil
import pytest

from internal.bootstrap.memory import collect_when_it_grows
from tests.support.conditions import eventually

MEGABYTE = 1024 * 1024


@pytest.fixture
def without_collections() -> Iterator[None]:
    """As if so few objects were made that no collection is due."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("without_collections")
async def test_cycles_that_hold_much_do_not_pile_up() -> None:
    resident = psutil.Process().memory_info
    most = before = resident().rss
    collecting = asyncio.create_task(collect_when_it_grows())
    for _ in range(60):
        cycle: list[object] = [bytearray(b"x" * 10 * MEGABYTE)]
        cycle.append(cycle)
        await asyncio.sleep(0.06)
        most = max(most, resident().rss)
    await eventually(lambda: resident().rss - before < 128 * MEGABYTE)
    collecting.cancel()

    assert most - before < 350 * MEGABYTE
