from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from internal.services.background import Background, EndedError


async def _forever() -> None:
    await asyncio.Event().wait()


async def _briefly() -> None:
    await asyncio.sleep(0)


async def _fail() -> None:
    raise ValueError("no")


async def _cancel(name: str) -> None:
    await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        if task.get_name() == name:
            task.cancel()
    await _forever()


async def _work_beside(work: Coroutine[Any, Any, None], then: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        background = Background(group)
        background.begin(_forever(), "neighbor")
        background.begin(work, "lag")
        await then


async def test_a_task_that_is_canceled_by_its_name_fails_the_group() -> None:
    with pytest.raises(BaseExceptionGroup) as failed:
        await _work_beside(_forever(), _cancel("lag"))

    expected = EndedError("the task lag ended while it was needed")
    assert [repr(each) for each in failed.value.exceptions] == [repr(expected)]


async def test_a_task_that_returns_fails_the_group() -> None:
    with pytest.raises(BaseExceptionGroup) as failed:
        await _work_beside(_briefly(), _forever())

    assert [type(each) for each in failed.value.exceptions] == [EndedError]


async def test_only_the_task_that_raises_is_named() -> None:
    with pytest.raises(BaseExceptionGroup) as failed:
        await _work_beside(_fail(), _forever())

    assert [repr(each) for each in failed.value.exceptions] == ["ValueError('no')"]


async def test_tasks_end_quietly_when_their_time_has_come() -> None:
    async with asyncio.TaskGroup() as group:
        background = Background(group)
        last = background.begin(_briefly(), "producer")
        background.begin(_forever(), "completer")
        background.release(last)
        await last
        background.cancel()
