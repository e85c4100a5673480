from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import pytest

from internal.domain.errors import UnavailableError
from internal.domain.ports.feed import Topic
from internal.services import duty as duty_module
from internal.services.duty import Duty
from tests.support.conditions import eventually
from tests.support.wakeups import SilentWakeups

HOUR = timedelta(hours=1)


class Bell:
    """Wakeups whose one listener a test rings."""

    def __init__(self) -> None:
        self.ring: Callable[[], None] = lambda: None

    def send(self, *topics: Topic) -> None: ...

    def subscribe(self, wake: Callable[[], None], *topics: Topic) -> AbstractContextManager[None]:
        self.ring = wake
        return nullcontext()


async def test_a_wake_up_during_a_round_is_not_lost() -> None:
    rounds: list[int] = []
    bell = Bell()

    async def run_once() -> None:
        rounds.append(len(rounds))
        await asyncio.sleep(0)
        if len(rounds) == 1:
            bell.ring()
        await asyncio.sleep(0)

    living = asyncio.create_task(Duty("test", run_once, pause=HOUR).run(bell))
    await eventually(lambda: len(rounds) == 2)
    living.cancel()


@pytest.mark.parametrize("fault", [UnavailableError(), RuntimeError("a bug")], ids=repr)
async def test_a_rare_duty_that_failed_is_not_put_off_until_its_next_turn(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty_module, "LONGEST_RETRY", timedelta(milliseconds=1))
    rounds: list[int] = []

    async def run_once() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 3:
            raise fault

    living = asyncio.create_task(Duty("test", run_once, pause=HOUR).run(SilentWakeups()))
    await eventually(lambda: len(rounds) == 3)
    living.cancel()
