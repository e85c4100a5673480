"""A dump that was taken under load is restored elsewhere, as docs/backup.md says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import pytest

from internal.adapters.embedded.programs import Programs, packaged_binaries
from internal.adapters.postgres.codes import STATUS_CODE
from internal.bootstrap.migrations import migrate_up
from internal.domain.jobs import FINISHED
from tests.support.conditions import eventually
from tests.support.installation import LONG, installation
from tests.support.journal import Journal, read_journal
from tests.support.load import check_all_done, is_all_done, load
from tests.support.records import check_each_done_once
from tests.support.store import Store, open_store

PER_SECOND: Final = 80
JOBS_BEFORE: Final = 1_000
SLEEP_MS: Final = 300
FOR_LATER: Final = {"type": "journaled", "payload": {"sleep_ms": 0}, "delay_ms": 8_000}

_ENDED: Final = [STATUS_CODE[status] for status in FINISHED]


@pytest.mark.skipif(not LONG, reason="takes long: a part of `make trials`")
@pytest.mark.timeout(600)
async def test_what_a_dump_holds_unfinished_is_done_once_where_it_is_restored(
    database_url: str, tmp_path: Path, report: Callable[[str], None]
) -> None:
    restored, dump = await a_fresh_database(database_url), tmp_path / "windlass.dump"
    async with installation(database_url, tmp_path / "here") as here:
        async with load(here, per_second=PER_SECOND, sleep_ms=SLEEP_MS) as sent:
            here.accepted |= await sent.submit_batch([FOR_LATER])
            await sent.goes_on(JOBS_BEFORE)
            before = set(sent.acknowledged.values())
            await run("pg_dump", "--format=custom", f"--file={dump}", database_url)
        await check_all_done(database_url, here)
        here.check_none_ended()
    await run("pg_restore", "--no-owner", f"--dbname={restored}", "--exit-on-error", dump)
    await migrate_up(restored)
    async with open_store(restored) as store:
        finished, unfinished = await parted(store)
        assert before <= finished | unfinished, "what was acknowledged before the dump is in it"
        async with installation(restored, tmp_path / "there") as there:
            assert await knows(there.urls[0], sent.token)
            await eventually(lambda: is_all_done(store), within_s=120, every_s=0.1)
        journal = joined(finished, read_journal(here.journal), read_journal(there.journal))
        tally = await check_each_done_once(store, finished | unfinished, journal)
    assert unfinished == {job_id for job_id, _ in read_journal(there.journal).starts}
    report(f"a restore of {len(finished)} finished and {len(unfinished)} other jobs: {tally}")


async def a_fresh_database(url: str) -> str:
    """An empty database on the same server."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create database restored template template0")
    finally:
        await connection.close()
    return urlsplit(url)._replace(path="/restored").geturl()


async def run(program: str, *arguments: str | Path) -> None:
    programs = Programs(packaged_binaries(), None)
    await asyncio.to_thread(programs.run, program, *map(str, arguments))


async def parted(store: Store) -> tuple[set[UUID], set[UUID]]:
    """The finished jobs and the others."""
    async with store.database.hot() as connection:
        rows = await connection.fetch("select job_id, status from job_state")
    finished = {row["job_id"] for row in rows if row["status"] in _ENDED}
    return finished, {row["job_id"] for row in rows} - finished


async def knows(url: str, token: str) -> bool:
    """Whether a session of the first installation goes on in the second."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        answer = await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == 200


def joined(finished: set[UUID], here: Journal, there: Journal) -> Journal:
    """What the dump's jobs have behind them: of the finished ones, what ran before the dump."""
    starts = {attempt: each for attempt, each in here.starts.items() if attempt[0] in finished}
    ends = {attempt: each for attempt, each in here.ends.items() if attempt[0] in finished}
    return Journal(starts | there.starts, ends | there.ends, here.processes | there.processes)
