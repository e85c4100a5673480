"""Whatever happens in whatever order, the store does what a small model says.

`make chaos` takes many more steps, and prints how often each rule was tried.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.machine import Machine
from tests.support.machine.world import World, open_world
from tests.support.postgres import on_every_postgres

# How many steps at least; without it a few hundred are taken, the same each time.
STEPS = int(os.environ.get("WINDLASS_CHAOS_STEPS", "0"))

# A failure is told at once, as it happened: to simplify a history takes minutes.
SHORT = settings(
    max_examples=4,
    phases=[Phase.generate],
    stateful_step_count=50,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(SHORT, max_examples=40, phases=[Phase.generate, Phase.shrink], derandomize=False)


@on_every_postgres
@pytest.mark.timeout(0 if STEPS else 120)
def test_whatever_happens_every_promise_holds(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_world(database_url) as world:
        run(world, SHORT)
        while world.steps.total() < STEPS:
            run(world, LONG)
            with capsys.disabled():
                print_progress(world)


def run(world: World, how: settings) -> None:
    run_state_machine_as_test(lambda: Machine(world), settings=how)  # type: ignore[arg-type]


def print_progress(world: World) -> None:
    total = world.steps.total()
    print(f"{total} steps of {STEPS}", flush=True)
    if total >= STEPS:
        print(*(f"{count:8} {rule}" for rule, count in world.steps.most_common()), sep="\n")
