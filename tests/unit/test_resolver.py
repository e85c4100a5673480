"""Look-ups of names for `http` jobs: bounded in time, and for each user."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from uuid import uuid4

import pytest

from internal.adapters.handlers.egress import LOOK_UPS_AT_ONCE, SystemResolver
from internal.domain.outcomes import Retry
from tests.support.conditions import eventually


class Tarpit:
    """Names of one zone that hang until they are let go; the others are found at once."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked: list[str] = []

    def look_up(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host.endswith(".tarpit"):
            self.open.wait(60)
        return [(0, 0, 0, "", ("192.0.2.1", port))]


async def test_names_that_hang_hold_up_no_other_user_and_not_for_ever() -> None:
    tarpit, ada, eve = Tarpit(), uuid4(), uuid4()
    resolver = SystemResolver(tarpit.look_up, seconds=0.5)
    hanging = [
        asyncio.create_task(resolver.resolve(eve, f"{number}.tarpit", 80)) for number in range(40)
    ]
    await eventually(lambda: len(tarpit.asked) == LOOK_UPS_AT_ONCE)

    assert await resolver.resolve(ada, "example.com", 80) == ["192.0.2.1"]
    for each in hanging:
        with pytest.raises(Retry, match=r"\.tarpit was not found within 0.5 s"):
            await each
    assert len(tarpit.asked) == LOOK_UPS_AT_ONCE + 1

    tarpit.open.set()
    patient = SystemResolver(tarpit.look_up)
    found = await asyncio.gather(*(patient.resolve(eve, "example.com", 80) for _ in range(40)))
    assert found == [["192.0.2.1"]] * 40


async def test_a_thread_that_still_looks_up_keeps_its_place() -> None:
    tarpit, eve = Tarpit(), uuid4()
    resolver = SystemResolver(tarpit.look_up, seconds=0.2)
    for each in [
        asyncio.create_task(resolver.resolve(eve, f"{number}.tarpit", 80))
        for number in range(LOOK_UPS_AT_ONCE)
    ]:
        with pytest.raises(Retry):
            await each

    with pytest.raises(Retry):
        await resolver.resolve(eve, "example.com", 80)
    tarpit.open.set()

    async def is_found() -> bool:
        try:
            return await resolver.resolve(eve, "example.com", 80) == ["192.0.2.1"]
        except Retry:
            return False

    await eventually(is_found)


async def test_a_name_that_is_unknown_says_so() -> None:
    def unknown(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise OSError("no such name")

    with pytest.raises(OSError, match="no such name"):
        await SystemResolver(unknown).resolve(uuid4(), "example.com", 80)
