from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from internal.domain.errors import UnavailableError
from internal.domain.handlers import Handlers
from internal.domain.ports.work import ClaimedJob, Lease
from internal.services.worker.completer import Completer
from internal.services.worker.executor import Executor
from internal.services.worker.heart import Heart
from internal.services.worker.producer import Producer
from internal.services.worker.slots import Slots
from tests.support.wakeups import SilentWakeups
from tests.support.work import Ends, Names, a_claimed_job


class OneJob:
    """Claims: gives one job, after `meanwhile` has happened."""

    def __init__(self) -> None:
        self.job = a_claimed_job()
        self.meanwhile: Callable[[], Any] = lambda: None

    async def claim(self, worker_id: str, routes: Sequence[str], limit: int) -> list[ClaimedJob]:
        self.meanwhile()
        return [self.job]

    async def is_waiting(self, routes: Sequence[str]) -> bool:
        return False


class Setup:
    def __init__(self) -> None:
        self.claims = OneJob()
        self.ends = Ends()
        self.slots = Slots(4)
        completer = Completer(self.ends)
        heart = Heart(
            Names(), self.ends, self.slots, completer, timedelta(seconds=30), ("default",)
        )
        executor = Executor(Handlers([]), self.slots, completer)
        self.producer = Producer(self.claims, self.ends, heart, self.slots, executor, ["default"])
        self.lease = Lease(self.claims.job.id, self.claims.job.token)


async def test_what_was_claimed_while_stopping_is_handed_back() -> None:
    setup = Setup()
    setup.claims.meanwhile = setup.producer.stop

    await setup.producer.run(SilentWakeups())

    assert setup.ends.handed_back == [setup.lease]
    assert setup.slots.running == []


async def test_a_stop_survives_a_database_that_goes_away_meanwhile() -> None:
    setup = Setup()
    setup.claims.meanwhile = setup.producer.stop
    setup.ends.faults = [UnavailableError()]

    await setup.producer.run(SilentWakeups())

    assert setup.slots.running == []
    assert len(setup.slots.retiring) == 1, "its heartbeats hand back what it does not hold"


async def test_what_was_claimed_under_a_name_that_was_lost_meanwhile_is_handed_back() -> None:
    setup = Setup()

    def lose() -> None:
        setup.slots.current = None

    setup.claims.meanwhile = lose

    await setup.producer.run_once()

    assert setup.ends.handed_back == [setup.lease]
