"""PostgreSQL's disk is full for a while: submissions are refused, and what was accepted is kept.

The disk is a tmpfs of a few hundred megabytes, which only root may mount.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import pytest

from internal.adapters.embedded import EmbeddedServer
from internal.bootstrap.migrations import migrate_up
from tests.support.conditions import eventually
from tests.support.installation import LONG, installation
from tests.support.load import check_all_done, load

SIZE: Final = "420m"
PER_SECOND: Final = 60
FULL_S: Final = 25
BLOCK: Final = bytes(1024 * 1024)
# Little of the log is kept for later, so that it grows into the full disk.
SMALL: Final = {
    "shared_buffers": "32MB",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "checkpoint_timeout": "30s",
}


@pytest.fixture
def disk(server_folder: Path) -> Iterator[Path]:
    folder = server_folder / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mounting = ("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", str(folder))
    mounted = subprocess.run(mounting, check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(("umount", "--lazy", str(folder)), check=True)


@pytest.fixture
def postgres(disk: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(disk, options=SMALL)
    yield server
    print((disk / "postgres.log").read_text(errors="replace")[-5_000:])  # shown if it failed
    (disk / "ballast").unlink(missing_ok=True)
    server.stop()


@pytest.mark.skipif(not LONG, reason="takes long: a part of `make trials`")
@pytest.mark.timeout(600)
async def test_a_full_disk_refuses_jobs_loses_none_and_needs_no_restart_of_ours(
    disk: Path, postgres: EmbeddedServer, tmp_path: Path, report: Callable[[str], None]
) -> None:
    url = await asyncio.to_thread(postgres.start)
    await migrate_up(url)
    async with installation(url, tmp_path) as running:
        async with load(running, per_second=PER_SECOND, sleep_ms=50) as sent:
            async with full(disk):
                await eventually(lambda: sent.refusals["503"] > 0, within_s=120)
                await asyncio.sleep(FULL_S)
                assert await is_alive(running.urls[0])
            await eventually(lambda: answers_again(postgres, url), within_s=60, every_s=0.2)
            await sent.goes_on(PER_SECOND)
        tally = await check_all_done(url, running)
        running.check_none_ended()
    report(f"a full disk: {sent.summary()}; {tally}")


@asynccontextmanager
async def full(disk: Path) -> AsyncIterator[None]:
    """Not a byte is left for as long as the block lasts, and nothing that is freed meanwhile."""
    ballast = disk / "ballast"
    filling = asyncio.create_task(keep_full(ballast))
    try:
        yield
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        ballast.unlink()


async def keep_full(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        while True:
            try:
                file.write(BLOCK)
            except OSError:  # there is no space left
                await asyncio.sleep(0.1)


async def is_alive(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        return (await client.get("/health")).status_code == 200


async def answers_again(postgres: EmbeddedServer, url: str) -> bool:
    """A server that ended because it could not write is started, as what watches it does."""
    if not postgres.is_running():
        await asyncio.to_thread(postgres.start)
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
