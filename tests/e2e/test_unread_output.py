"""Nothing reads what `windlass serve` writes."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from tests.support.conditions import eventually
from tests.support.customer import Customer, customer
from tests.support.pipes import Pipe
from tests.support.serving import free_port, kill_group, kill_postgres, without_settings

JOBS: Final = 150


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).is_success
    except httpx.TransportError:
        return False


async def _have_failed(ada: Customer) -> bool:
    return await ada.has("failed", JOBS)


async def test_an_unread_pipe_costs_log_lines_and_nothing_else(tmp_path: Path) -> None:
    settings = {
        "PORT": free_port(),
        "WINDLASS_DATA_DIR": str(tmp_path / "data"),
        "WINDLASS_HANDLERS": "tests.support.misbehaving",
        "WINDLASS_LOG_FORMAT": "json",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    pipe = Pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "internal.bootstrap.cli", "serve"),
        env=without_settings() | settings,
        stdin=DEVNULL,
        stdout=pipe.inlet,
        stderr=pipe.inlet,
        start_new_session=True,
    )
    try:
        async with customer(settings) as ada:
            await eventually(partial(_is_ready, ada.client), within_s=60, every_s=0.1)
            await ada.sign_up()
            # Of each failure the log has a traceback: more by far than a pipe holds.
            await ada.submit(JOBS, type="raises", max_attempts=1)
            await eventually(partial(_have_failed, ada), within_s=60, every_s=0.1)
            assert (await ada.client.get("/health")).is_success
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        kill_group(process.pid)
        kill_postgres(tmp_path / "data")
