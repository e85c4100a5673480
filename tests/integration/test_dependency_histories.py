"""Random graphs, submitted, run, canceled and retried at once: no job is left blocked for ever.

`make chaos` plays many more, and the layers at their full size.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from msgspec.structs import replace

from internal.domain.declaring import handler
from internal.domain.handlers import Handlers, JobContext
from internal.domain.linking import link
from internal.domain.submission import Submission, accept
from tests.support.conditions import eventually
from tests.support.graphs import Graph, GraphHistory, graphs
from tests.support.postgres import on_every_postgres
from tests.support.store import DEFAULTS, open_store
from tests.support.workers import SETTINGS as WORKER
from tests.support.workers import running_worker

STEPS = int(os.environ.get("WINDLASS_CHAOS_STEPS", "0"))
# Each job waits for two of the layer before.
LAYERS, WIDTH = (100, 100) if STEPS else (10, 100)

SETTINGS = settings(
    max_examples=STEPS // 20 or 12,
    phases=[Phase.generate],
    derandomize=not STEPS,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@on_every_postgres
@pytest.mark.timeout(0 if STEPS else 120)
def test_whatever_happens_to_a_graph_nothing_waits_for_ever(database_url: str) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        opening = open_store(database_url, size=12)
        store = runner.run(opening.__aenter__())

        async def play_and_check(graph: Graph) -> None:
            history = GraphHistory(store, await store.a_user(), graph)
            await history.play()
            await history.check()

        @SETTINGS
        @given(graphs())
        def play(graph: Graph) -> None:
            runner.run(play_and_check(graph))

        try:
            play()
        finally:
            runner.run(opening.__aexit__(None, None, None))


@pytest.mark.timeout(600 if STEPS else 60)
async def test_layers_run_in_order(database_url: str) -> None:
    events: list[tuple[str, bool]] = []

    @handler("noop")
    async def noop(job: dict[str, Any], ctx: JobContext) -> None:
        events.append((job["name"], False))
        await asyncio.sleep(0)
        assert len(ctx.parents) == (0 if job["name"].startswith("0.") else 2)
        events.append((job["name"], True))

    requests = [_in_layer(layer, place) for layer in range(LAYERS) for place in range(WIDTH)]
    new = [accept(each, Handlers([]), DEFAULTS, index=i) for i, each in enumerate(requests)]
    async with open_store(database_url) as store:
        listener = asyncio.create_task(store.wakeups.run())
        await store.submissions.submit(await store.a_user(), link(requests, new))
        async with running_worker(store, [noop], replace(WORKER, slots=100)):
            await eventually(lambda: len(events) == 2 * len(new), within_s=500)
        listener.cancel()
    when = {event: number for number, event in enumerate(events)}
    assert len(when) == 2 * len(new)
    for each in requests:
        for parent in each.depends_on or ():
            assert when[parent[1:], True] < when[str(each.name), False]


def _in_layer(layer: int, place: int) -> Submission:
    name = f"{layer}.{place}"
    parents = [f"@{layer - 1}.{each % WIDTH}" for each in (place, place + 1)] if layer else []
    fields = {"type": "noop", "name": name, "payload": {"name": name}, "depends_on": parents}
    return msgspec.json.decode(msgspec.json.encode(fields), type=Submission)
