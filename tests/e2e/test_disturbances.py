"""What disturbs a running installation for a while: every job is done once, and nothing restarts.

The tests share one installation; `make trials` disturbs it for longer, under more load.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from internal.adapters.embedded.postmaster import processes
from internal.adapters.postgres.codes import OUTCOME_CODE
from internal.domain.jobs import Outcome
from tests.support.conditions import eventually
from tests.support.installation import LONG, Installation, at_work, installation, send
from tests.support.load import check_all_done, load

PER_SECOND: Final = 80 if LONG else 20
APIS: Final = 2 if LONG else 1
SLEEP_MS: Final = 500
LEASE_TTL: Final = "5s" if LONG else "2s"
DATABASE_FREEZE_S: Final = 10 if LONG else 3
CUTS: Final = 3
IDLE_SPELL_S: Final = 12 if LONG else 3

pytestmark = pytest.mark.timeout(600 if LONG else 300)

# Sessions of clients; the test's own goes on.
CUT: Final = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""
LOST: Final = "select count(*) from attempt where status = $1"


@pytest.fixture(scope="module")
async def running(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    folder = tmp_path_factory.mktemp("disturbed")
    async with installation(
        module_database_url, folder, apis=APIS, workers=2, WINDLASS_LEASE_TTL=LEASE_TTL
    ) as made:
        yield made


async def test_a_frozen_workers_jobs_are_done_once_whether_it_wakes_or_is_replaced(
    running: Installation, module_database_url: str, report: Callable[[str], None]
) -> None:
    async with load(running, per_second=PER_SECOND, sleep_ms=SLEEP_MS) as sent:
        lost = OUTCOME_CODE[Outcome.LOST]
        before = await ask(module_database_url, LOST, lost)

        async def are_rescued() -> bool:
            return bool(await ask(module_database_url, LOST, lost) > before)

        frozen = at_work(running.workers[0])
        send([frozen], signal.SIGSTOP)
        await eventually(are_rescued, within_s=60, every_s=0.1)
        send([frozen], signal.SIGCONT)
        await sent.goes_on(2 * PER_SECOND)
    tally = await check_all_done(module_database_url, running)
    running.take_as_is(running.workers[0])
    running.check_none_ended()
    report(f"a worker frozen: {sent.summary()}; {tally}")


async def test_a_frozen_database_is_waited_for(
    running: Installation, module_database_url: str, report: Callable[[str], None]
) -> None:
    cluster = Path(await ask(module_database_url, "show data_directory"))
    async with load(running, per_second=PER_SECOND, sleep_ms=SLEEP_MS) as sent:
        frozen = processes(cluster)
        send(frozen, signal.SIGSTOP)
        await asyncio.sleep(DATABASE_FREEZE_S)
        send(frozen, signal.SIGCONT)
        await sent.goes_on(2 * PER_SECOND)
    tally = await check_all_done(module_database_url, running)
    running.check_none_ended()
    report(f"the database frozen for {DATABASE_FREEZE_S} s: {sent.summary()}; {tally}")


async def test_connections_that_are_cut_lose_nothing(
    running: Installation, module_database_url: str, report: Callable[[str], None]
) -> None:
    async with load(running, per_second=PER_SECOND, sleep_ms=SLEEP_MS) as sent:
        for _ in range(CUTS):
            assert await ask(module_database_url, CUT) > 0
            await sent.goes_on(2 * PER_SECOND)
    tally = await check_all_done(module_database_url, running)
    running.check_none_ended()
    report(f"all connections cut {CUTS} times: {sent.summary()}; {tally}")


async def test_connections_that_the_server_ends_when_idle_lose_nothing(
    running: Installation, module_database_url: str, report: Callable[[str], None]
) -> None:
    """Settings of a database hold for connections made after them."""
    await set_default(module_database_url, "idle_session_timeout = '2s'")
    await ask(module_database_url, CUT)
    async with load(running, per_second=PER_SECOND, sleep_ms=SLEEP_MS):
        pass
    await asyncio.sleep(IDLE_SPELL_S)
    async with load(running, per_second=PER_SECOND, sleep_ms=SLEEP_MS) as sent:
        await sent.goes_on(PER_SECOND)
    await set_default(module_database_url, "idle_session_timeout = 0")
    await ask(module_database_url, CUT)
    tally = await check_all_done(module_database_url, running)
    running.check_none_ended()
    report(f"idle connections ended by the server: {sent.summary()}; {tally}")


async def ask(url: str, query: str, *values: Any) -> Any:
    """The first value of a statement, on a connection of its own."""
    connection = await asyncpg.connect(url, timeout=30)
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


async def set_default(url: str, setting: str) -> None:
    database = await ask(url, "select current_database()")
    await ask(url, f"alter database {database} set {setting}")
