"""Whatever happens in whatever order and at once, limits hold and nothing is left behind a gate.

`make chaos` takes many more steps.
"""

from __future__ import annotations

import os

import pytest

from tests.support.gate_histories import GateHistory
from tests.support.postgres import on_every_postgres
from tests.support.store import Store

STEPS = int(os.environ.get("WINDLASS_CHAOS_STEPS", "0"))
SEED = int(os.environ.get("WINDLASS_CHAOS_SEED", "1"))
STEPS_A_HISTORY = 60


@on_every_postgres
@pytest.mark.timeout(0 if STEPS else 120)
async def test_whatever_happens_limits_hold_and_nothing_is_left_behind(store: Store) -> None:
    histories = max(1, STEPS // STEPS_A_HISTORY)
    for seed in range(SEED, SEED + histories):
        history = GateHistory(store, seed)
        await history.begin()
        try:
            for number in range(STEPS_A_HISTORY):
                await history.step()
                if number % 10 == 9:
                    await history.settle()
            await history.finish()
        except BaseException as error:
            error.add_note(f"This is the history of the seed {seed}.")
            raise
