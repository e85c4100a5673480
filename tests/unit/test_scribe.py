from __future__ import annotations

import asyncio
from typing import Any

import pytest

from internal.domain.declaring import handler
from internal.domain.errors import UnavailableError
from internal.domain.handlers import JobContext
from internal.services.worker import scribe as scribe_module
from internal.services.worker.running import Running
from internal.services.worker.scribe import Scribe
from tests.support.work import Process, a_claimed_job

Payload = dict[str, Any]


@handler("endless")
async def endless(job: Payload, ctx: JobContext) -> None:
    await asyncio.sleep(60)


async def attempts(process: Process, count: int) -> list[Running]:
    return [await process.start(a_claimed_job("endless")) for _ in range(count)]


def texts(process: Process) -> list[list[str]]:
    """The lines of each write, whatever job they are of."""
    return [[line.text for of in each.values() for line in of] for each in process.ends.logged]


async def test_lines_of_all_attempts_are_written_together_and_once() -> None:
    process = Process(endless)
    scribe = Scribe(process.ends, process.slots)
    one, other, _silent = await attempts(process, 3)
    one.log("a")
    other.log("b")

    await scribe.run_once()
    one.log("c")
    await scribe.run_once()
    await scribe.run_once()

    assert [sorted(each) for each in texts(process)] == [["a", "b"], ["c"]]


async def test_lines_that_could_not_be_written_are_written_later() -> None:
    process = Process(endless)
    scribe = Scribe(process.ends, process.slots)
    (one,) = await attempts(process, 1)
    one.log("a")
    process.ends.faults = [UnavailableError()]
    with pytest.raises(UnavailableError):
        await scribe.run_once()
    one.log("b")

    await scribe.run_once()

    assert texts(process) == [["a", "b"]]


async def test_lines_of_a_job_that_is_ending_are_left_to_its_end() -> None:
    process = Process(endless)
    scribe = Scribe(process.ends, process.slots)
    (one,) = await attempts(process, 1)
    one.log("a")
    process.ends.ending = {one.job_id}

    await scribe.run_once()

    assert [line.text for line in one.last_lines()] == ["a"]


async def test_many_lines_are_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe_module, "WRITTEN_AT_ONCE", 3)
    process = Process(endless)
    scribe = Scribe(process.ends, process.slots)
    for each in await attempts(process, 4):
        each.log("1")
        each.log("2")

    await scribe.run_once()

    assert [len(each) for each in texts(process)] == [4, 4]
