from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from internal.adapters.postgres.groups import Groups


class Writer:
    """Takes a group and waits until a test lets it go on."""

    def __init__(self, *, most: int = 100) -> None:
        self.written: list[list[str]] = []
        self.go_on = asyncio.Semaphore(0)
        self.groups: Groups[str, str] = Groups(self._write, most=most)

    async def _write(self, group: Sequence[str]) -> list[str | Exception]:
        self.written.append(list(group))
        await self.go_on.acquire()
        if "all" in group:
            raise ValueError("all")
        return [ValueError(each) if each == "bad" else each.upper() for each in group]


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _adding(writer: Writer, *items: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(writer.groups.add(item)) for item in items]
    await _settle()
    return tasks


async def test_a_lone_item_goes_at_once_and_what_comes_meanwhile_goes_together() -> None:
    writer = Writer()
    tasks = await _adding(writer, "a")
    assert writer.written == [["a"]]
    tasks += await _adding(writer, "b", "c")
    assert writer.written == [["a"]]

    writer.go_on.release()
    await _settle()
    assert writer.written == [["a"], ["b", "c"]]
    writer.go_on.release()

    assert await asyncio.gather(*tasks) == ["A", "B", "C"]


async def test_groups_become_halves_of_those_who_come_again_and_again() -> None:
    writer = Writer()

    async def call_often(item: str) -> None:
        for _ in range(20):
            await writer.groups.add(item)

    many = [asyncio.create_task(call_often(item)) for item in "abcdefg"]
    await _settle()
    late = asyncio.create_task(call_often("h"))
    for _ in range(10):
        await _settle()
        writer.go_on.release()
    assert [len(group) for group in writer.written[:2]] == [7, 1]
    assert [len(group) for group in writer.written[4:10]] == [4] * 6
    for _ in range(8 * 20):
        writer.go_on.release()
    await asyncio.gather(*many, late)


async def test_an_item_that_comes_as_the_last_group_ends_is_not_left_behind() -> None:
    writer = Writer()
    for _ in range(3):
        (task,) = await _adding(writer, "a")
        writer.go_on.release()
        assert await task == "A"
        writer.go_on.release()
        assert await writer.groups.add("b") == "B"


async def test_a_group_is_not_larger_than_it_may_be() -> None:
    writer = Writer(most=2)
    tasks = await _adding(writer, "a", "b", "c", "d", "e")
    for _ in range(3):
        writer.go_on.release()
        await _settle()
    await asyncio.gather(*tasks)

    assert writer.written == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_caller_who_is_canceled_disturbs_nobody() -> None:
    writer = Writer()
    sent, beside = await _adding(writer, "a", "b")
    waiting, last = await _adding(writer, "c", "d")
    sent.cancel()
    waiting.cancel()
    for _ in range(3):
        writer.go_on.release()

    assert [await beside, await last] == ["B", "D"]
    assert "c" not in {item for group in writer.written for item in group}
    assert sent.cancelled()
    assert waiting.cancelled()


async def test_what_is_wrong_with_one_item_is_told_to_it_alone() -> None:
    writer = Writer()
    good, bad, other = await _adding(writer, "a", "bad", "b")
    writer.go_on.release()

    assert [await good, await other] == ["A", "B"]
    with pytest.raises(ValueError, match="bad"):
        await bad


async def test_what_a_write_raises_is_told_to_its_whole_group_and_to_no_other() -> None:
    writer = Writer()
    failing = await _adding(writer, "a", "all")
    following = await _adding(writer, "b")
    writer.go_on.release()
    writer.go_on.release()

    ends = await asyncio.gather(*failing, return_exceptions=True)
    assert [str(end) for end in ends] == ["all", "all"]
    assert await following[0] == "B"
