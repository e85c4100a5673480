from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import pytest

from internal.domain.errors import ContentionError, UnavailableError
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


def failing_with(*faults: Exception) -> Callable[[], Awaitable[None]]:
    left = list(faults)

    async def run_once() -> None:
        if left:
            raise left.pop(0)

    return run_once


def caused_by(cause: Exception) -> UnavailableError:
    error = UnavailableError()
    error.__cause__ = cause
    return error


async def test_each_new_reason_is_logged_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty_module, "LONGEST_RETRY", timedelta(milliseconds=1))
    refused, full = ConnectionRefusedError("refused"), OSError("no space left")
    faults = [caused_by(each) for each in (refused, refused, full, full, refused)]

    with caplog.at_level("INFO"):
        living = asyncio.create_task(
            Duty("test", failing_with(*faults), pause=HOUR).run(SilentWakeups())
        )
        await eventually(lambda: "test works again" in caplog.text)
    living.cancel()

    assert [each.__dict__.get("reason") for each in caplog.records] == [
        "ConnectionRefusedError: refused",
        "OSError: no space left",
        "ConnectionRefusedError: refused",
        None,
    ]


async def test_a_fault_of_ours_shows_its_stack_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty_module, "LONGEST_RETRY", timedelta(milliseconds=1))
    faults = [RuntimeError("a bug")] * 4

    with caplog.at_level("INFO"):
        living = asyncio.create_task(
            Duty("test", failing_with(*faults), pause=HOUR).run(SilentWakeups())
        )
        await eventually(lambda: "test works again" in caplog.text)
    living.cancel()

    assert len([each for each in caplog.records if each.exc_info]) == 1


async def test_contention_costs_no_pause_and_no_line(caplog: pytest.LogCaptureFixture) -> None:
    rounds: list[int] = []
    failing = failing_with(ContentionError(), ContentionError())

    async def run_once() -> None:
        rounds.append(len(rounds))
        await failing()

    living = asyncio.create_task(Duty("test", run_once, pause=HOUR).run(SilentWakeups()))
    await eventually(lambda: len(rounds) == 3)
    living.cancel()

    assert caplog.records == []
