"""The primary dies and its standby takes over: nothing is lost or doubled, nothing restarts.

`make trials` does it five times, with more jobs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest

from internal.bootstrap.migrations import migrate_up
from tests.support.installation import LONG, installation
from tests.support.load import check_all_done, load
from tests.support.pair import Pair

FAILOVERS: Final = 5 if LONG else 1
PER_SECOND: Final = 120 if LONG else 40
JOBS_BETWEEN: Final = 2_000 if LONG else 80


@pytest.fixture
async def pair(server_folder: Path) -> AsyncIterator[Pair]:
    made = Pair(server_folder)
    try:
        await made.start()
        await migrate_up(made.url)
        yield made
    finally:
        await made.stop()


@pytest.mark.timeout(900 if LONG else 300)
async def test_failovers_lose_no_job_double_none_and_need_no_restart(
    pair: Pair, tmp_path: Path, report: Callable[[str], None]
) -> None:
    async with installation(pair.url, tmp_path, apis=2, workers=2) as running:
        async with load(running, per_second=PER_SECOND, sleep_ms=100) as sent:
            for _ in range(FAILOVERS):
                await sent.goes_on(JOBS_BETWEEN)
                await pair.fail_over()
                await sent.goes_on(JOBS_BETWEEN)
                await pair.add_standby()
            await sent.goes_on(JOBS_BETWEEN)
        tally = await check_all_done(pair.url, running)
        running.check_none_ended()
    report(f"{FAILOVERS} failovers: {sent.summary()}; {tally}")
