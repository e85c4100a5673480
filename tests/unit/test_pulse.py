from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn

import pytest

from internal.bootstrap.pulse import Pulse
from internal.services.worker.supervision import RunningAttempt, Unsupervised
from tests.support.conditions import eventually


class _Supervision(Unsupervised):
    def __init__(self) -> None:
        super().__init__()
        self.signs = 0
        self.is_replaced = False

    def beat(self, worker_ids: Sequence[str], attempts: Sequence[RunningAttempt]) -> None:
        self.signs += 1

    def replace_process(self) -> NoReturn:
        self.is_replaced = True
        while True:  # it is a thread that nothing waits for
            time.sleep(60)


def _block_until_replaced(supervision: _Supervision) -> None:
    deadline = time.monotonic() + 60
    while not supervision.is_replaced and time.monotonic() < deadline:
        time.sleep(0.01)


async def test_a_loop_that_moves_gives_signs_of_life() -> None:
    supervision = _Supervision()
    Pulse(supervision, timedelta(seconds=60)).begin()
    await eventually(lambda: supervision.signs > 1)

    assert not supervision.is_replaced


async def test_a_process_whose_loop_stands_still_ends_with_its_stack_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervision = _Supervision()
    Pulse(supervision, timedelta(seconds=1)).begin()
    await asyncio.sleep(0)
    _block_until_replaced(supervision)

    assert supervision.is_replaced
    (line,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "_block_until_replaced" in line.__dict__["stack"]
