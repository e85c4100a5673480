"""The duties that keep queues moving and tables in order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from time import monotonic
from typing import Final

from internal.domain.ports.batches import BatchUpkeep
from internal.domain.ports.clock import Clock
from internal.domain.ports.feed import Relay, Topic
from internal.domain.ports.sweeps import Sweep
from internal.domain.ports.work import Upkeep
from internal.services.duty import Duty

STAGED_AT_ONCE: Final = 1000
ADMITTED_AT_ONCE: Final = 5000
EXPIRED_AT_ONCE: Final = 500
RESCUED_AT_ONCE: Final = 500
SETTLED_AT_ONCE: Final = 1000
FOLDED_AT_ONCE: Final = 5000
RELAYED_AT_ONCE: Final = 500
TENDED_AT_ONCE: Final = 1000
# Of a drain, twenty rounds a second are as much as anybody can see.
RELAY_RESTS: Final = timedelta(milliseconds=50)
# So many batches are looked at in about five milliseconds.
BATCHES_OF_EACH: Final = 1000
BATCH_USERS_AT_ONCE: Final = 100
BATCH_ROUNDS: Final = timedelta(milliseconds=500)
# However many there are, looking at them takes no more than a tenth of the time.
BATCH_RESTS: Final = 10
AT_ONCE: Final = timedelta(0)
WHILE_BUSY: Final = timedelta(milliseconds=200)


def stager(upkeep: Upkeep) -> Duty:
    """Queues scheduled jobs when they become due."""

    async def run_once() -> timedelta | None:
        staged, until_next = await upkeep.stage_due(STAGED_AT_ONCE)
        return AT_ONCE if staged == STAGED_AT_ONCE else until_next

    topics = (Topic.SCHEDULED,)
    return Duty("stager", run_once, pause=timedelta(seconds=1), topics=topics)


def gatekeeper(upkeep: Upkeep) -> Duty:
    """Lets jobs through that wait at the limits of their queues."""

    async def run_once() -> timedelta | None:
        looked, until_next = await upkeep.admit(ADMITTED_AT_ONCE)
        return AT_ONCE if looked else until_next

    topics = (Topic.GATE,)
    return Duty("gatekeeper", run_once, pause=timedelta(seconds=1), topics=topics)


def expirer(upkeep: Upkeep) -> Duty:
    """Cancels jobs that are not worth running any more."""

    async def run_once() -> timedelta | None:
        looked, until_next = await upkeep.expire(EXPIRED_AT_ONCE)
        return AT_ONCE if looked else until_next

    return Duty("expirer", run_once, pause=timedelta(seconds=1))


def lifeline(upkeep: Upkeep) -> Duty:
    """Rescues the jobs of workers that stopped answering."""

    async def run_once() -> timedelta | None:
        rescued = await upkeep.rescue_expired(RESCUED_AT_ONCE)
        return AT_ONCE if rescued == RESCUED_AT_ONCE else None

    return Duty("lifeline", run_once, pause=timedelta(seconds=1))


def releaser(upkeep: Upkeep) -> Duty:
    """Moves on what waited for jobs that have ended."""

    async def run_once() -> timedelta | None:
        return AT_ONCE if await upkeep.settle_dependencies(SETTLED_AT_ONCE) else None

    topics = (Topic.RELEASE,)
    return Duty("releaser", run_once, pause=timedelta(seconds=1), topics=topics)


def folder(upkeep: Upkeep) -> Duty:
    """Adds up the counters, and lets users pay what their jobs really used."""

    async def run_once() -> timedelta | None:
        folded = await upkeep.fold_counters(FOLDED_AT_ONCE)
        if folded == FOLDED_AT_ONCE:
            return AT_ONCE
        return WHILE_BUSY if folded else None

    return Duty("folder", run_once, pause=timedelta(seconds=1))


def tender(upkeep: Upkeep) -> Duty:
    """Keeps claims from looking at empty queues, and in the others at what was served."""

    async def run_once() -> timedelta | None:
        tended = await upkeep.tend_flows(TENDED_AT_ONCE)
        return AT_ONCE if tended == TENDED_AT_ONCE else None

    return Duty("tender", run_once, pause=timedelta(milliseconds=500))


def relay(feed: Relay) -> Duty:
    """Puts committed changes in order for those who watch."""

    async def run_once() -> timedelta | None:
        return AT_ONCE if await feed.relay(RELAYED_AT_ONCE) == RELAYED_AT_ONCE else None

    pause, topics = timedelta(seconds=1), (Topic.OUTBOX,)
    return Duty("relay", run_once, pause=pause, rest=RELAY_RESTS, topics=topics)


def batches(upkeep: BatchUpkeep) -> Duty:
    """Tells that the last job of a batch has ended."""

    async def run_once() -> timedelta:
        began = monotonic()
        more = await upkeep.finish_batches(BATCH_USERS_AT_ONCE, BATCHES_OF_EACH)
        rest = timedelta(seconds=(monotonic() - began) * BATCH_RESTS)
        return rest if more else max(rest, BATCH_ROUNDS)

    return Duty("batches", run_once, pause=timedelta(seconds=10))


def partitioner(upkeep: Upkeep) -> Duty:
    """Makes the coming days' partitions, and drops those that are of no use any more."""

    async def run_once() -> None:
        await upkeep.make_partitions()
        await upkeep.drop_empty_days()

    return Duty("partitioner", run_once, pause=timedelta(hours=1))


def clock_watch(clock: Clock) -> Duty:
    """Keeps the time of new ids at the database's."""
    return Duty("clock", clock.compare, pause=timedelta(minutes=1))


def sweepers(sweeps: Iterable[Sweep]) -> tuple[Duty, ...]:
    """A duty of its own for each kind of row that has an end."""
    return tuple(map(_sweeper, sweeps))


def _sweeper(sweep: Sweep) -> Duty:
    async def run_once() -> timedelta | None:
        began = monotonic()
        more = await sweep.run()
        # Half of the time is left to others, however much there is to remove.
        return timedelta(seconds=monotonic() - began) if more else None

    return Duty(f"sweep of {sweep.name}", run_once, pause=sweep.every)
