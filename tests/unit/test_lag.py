from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from tests.support.conditions import eventually
from tests.support.work import Process, a_claimed_job

Payload = dict[str, Any]


@handler("blocking")
async def blocking(job: Payload, ctx: JobContext) -> None:
    time.sleep(0.7)  # noqa: ASYNC251 - what this is about


@handler("polite")
async def polite(job: Payload, ctx: JobContext) -> None: ...


async def test_a_handler_that_blocks_is_named_though_it_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process(blocking, polite)
    ticking = asyncio.create_task(process.lag.run())
    await asyncio.sleep(0)
    await process.start(a_claimed_job("polite"))
    running = await process.start(a_claimed_job("blocking"))
    await eventually(lambda: bool(caplog.records))
    ticking.cancel()

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "after 30 s all leases of the process are lost" in record.getMessage()
    assert vars(record)["types"] == ["blocking"]
    assert vars(record)["job_ids"] == [str(running.job_id)]
    assert process.lag.take_ms() >= 500


def test_short_delays_are_kept_but_not_complained_about(caplog: pytest.LogCaptureFixture) -> None:
    lag = Process().lag
    for late in (0.1, 0.4, 0.2):
        lag.note(late)

    assert lag.take_ms() == 400
    assert lag.take_ms() == 0
    assert not caplog.records


def test_a_worker_that_is_held_up_all_the_time_does_not_flood_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lag = Process().lag
    for _ in range(3):
        lag.note(1.0)

    (record,) = caplog.records
    assert "the machine is too busy" in record.getMessage(), "as no handler ran"
