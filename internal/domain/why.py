"""Why a job waits: the gate that it stands at, and when it may be through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from internal.domain.estimates import start_after
from internal.domain.jobs import Status
from internal.domain.times import Moment

# Whoever stands further back is told "more than" so many.
MOST_AHEAD: Final = 10_000
# Of the jobs that run, those whose time is looked at.
MOST_RUNNING: Final = 1_000
ALONE: Final = "it runs by itself, since its process ended more than once while it ran"
# Of the jobs that one waits for, so many are named.
NAMED: Final = 3


class Gate(StrEnum):
    """What holds a job up; `none` when nothing does, since it runs or has ended."""

    DUE = "due"
    PAUSED = "paused"
    MAX_RUNNING = "max_running"
    CONCURRENCY_KEY = "concurrency_key"
    RATE = "rate"
    DEPENDENCY = "dependency"
    NO_WORKER = "no_worker"
    IN_LINE = "in_line"
    NONE = "none"


class Limits(msgspec.Struct, frozen=True):
    """How a gated job's limits stand; None is no limit.

    `free` may start beside those that run or are about to, `tokens` now. `*_per_s` is the rate at
    which tokens come. The `key_*` are those of the job's own keys.
    """

    concurrency_key: str
    rate_key: str
    max_running: int | None
    free: int | None
    tokens: float | None
    tokens_per_s: float | None
    max_running_per_key: int
    key_free: int | None
    key_tokens: float | None
    key_tokens_per_s: float | None


class Standing(msgspec.Struct, frozen=True):
    """Where a job stands.

    `ahead`: jobs that go before it, at most MOST_AHEAD; behind a gate, of all its queue, and
    `ahead_of_key` those with the same keys. `cost_s`: how long jobs of its kind ran lately, None
    while none has ended. `slots` are those of the workers that serve it, `free` what nobody uses of
    them; `at_once` of its kind were claimed. Behind a gate, `running`: for how long those have run
    that came through it, the longest first, and `running_of_key` those with its concurrency key, in
    seconds. `waits_for` tells the jobs of which it awaits the end. `runs_alone`: only an isolated
    worker takes it. `is_held`: the work of its last attempt goes on.
    """

    status: Status
    now: Moment
    run_at: Moment
    queue: str
    type: str
    paused: bool
    served: bool
    ahead: int
    ahead_of_key: int
    cost_s: float | None
    slots: int = 0
    free: int = 0
    at_once: int = 0
    running: tuple[float, ...] = ()
    running_of_key: tuple[float, ...] = ()
    limits: Limits | None = None
    waits_for: tuple[str, ...] = ()
    runs_alone: bool = False
    is_held: bool = False


class Why(msgspec.Struct, frozen=True):
    """The gate, in words, and a start estimated from measured rates; None where nothing tells."""

    gate: Gate
    detail: str
    estimated_start_at: Moment | None


def explain(standing: Standing) -> Why:
    """Name the gate that a job stands at."""
    match standing.status:
        case Status.BLOCKED:
            return _blocked(standing)
        case Status.SCHEDULED:
            return _scheduled(standing)
        case Status.QUEUED:
            return _queued(standing)
        case Status.RUNNING:
            return Why(Gate.NONE, "it has been claimed by a worker", None)
        case Status.SUCCEEDED | Status.FAILED | Status.CANCELED:
            return Why(Gate.NONE, f"it has ended: {standing.status}", None)


def _blocked(standing: Standing) -> Why:
    waits_for = standing.waits_for
    shown = ", ".join(waits_for[:NAMED]) + (" ..." if len(waits_for) > NAMED else "")
    number = len(waits_for)
    detail = f"it waits for {number} job{'' if number == 1 else 's'}: {shown}"
    return Why(Gate.DEPENDENCY, detail, None)


def _scheduled(standing: Standing) -> Why:
    if standing.is_held:
        detail = (
            "its last attempt was given up, and its handler has not ended: it starts after that"
        )
        return Why(Gate.DUE, detail, None)
    detail = f"it is not due before {standing.run_at:%Y-%m-%d %H:%M:%S} UTC"
    if standing.paused:
        return Why(Gate.DUE, f"{detail}, and the queue {standing.queue!r} is paused", None)
    return Why(Gate.DUE, detail, standing.run_at if standing.served else None)


def _queued(standing: Standing) -> Why:
    if standing.paused:
        return Why(Gate.PAUSED, f"the queue {standing.queue!r} is paused: resume it", None)
    if not standing.served and standing.runs_alone:
        detail = f"{ALONE}: a worker is started for it"
        return Why(Gate.NO_WORKER, detail, None)
    if not standing.served:
        detail = f"no running worker has a handler for the type {standing.type!r}"
        return Why(Gate.NO_WORKER, detail, None)
    if standing.limits is not None:
        return _gated(standing, standing.limits)
    own = f"{ALONE}; " if standing.runs_alone else ""
    return _in_line(standing, f"{own}{_number(standing.ahead)} of its queue go before it")


def _gated(standing: Standing, limits: Limits) -> Why:
    shut = list(_shut(standing, limits))
    if not shut:
        return _in_line(standing, f"{_number(standing.ahead)} go before it at its queue's gate")
    gate, detail, _ = shut[0]
    waits = [wait for *_, wait in shut if wait is not None]
    return Why(gate, detail, _after(standing, max(waits)) if len(waits) == len(shut) else None)


def _shut(standing: Standing, limits: Limits) -> Iterator[tuple[Gate, str, float | None]]:
    """The limits that hold it up, each in words and for how long, in seconds."""
    if limits.key_free is not None and limits.key_free <= 0:
        most, of_key = limits.max_running_per_key, standing.ahead_of_key
        detail = _full(most, f"key {limits.concurrency_key!r}")
        wait = _place_after(standing, of_key, most, standing.running_of_key)
        yield Gate.CONCURRENCY_KEY, detail, wait
    if limits.key_tokens is not None and limits.key_tokens < 1:
        detail = f"the rate limit of the key {limits.rate_key!r} lets none start now"
        wait = (standing.ahead_of_key + 1 - limits.key_tokens) / (limits.key_tokens_per_s or 1)
        yield Gate.RATE, detail, wait
    if limits.free is not None and limits.max_running is not None and limits.free <= 0:
        detail = _full(limits.max_running, f"queue {standing.queue!r}")
        wait = _place_after(standing, standing.ahead, limits.max_running, standing.running)
        yield Gate.MAX_RUNNING, detail, wait
    if limits.tokens is not None and limits.tokens < 1:
        detail = f"the rate limit of the queue {standing.queue!r} lets none start now"
        yield Gate.RATE, detail, (standing.ahead + 1 - limits.tokens) / (limits.tokens_per_s or 1)


def _place_after(
    standing: Standing, ahead: int, places: int, running: tuple[float, ...]
) -> float | None:
    if standing.cost_s is None or ahead >= MOST_AHEAD:
        return None
    return start_after(ahead, places=places, cost_s=standing.cost_s, running=running)


def _full(most: int, whose: str) -> str:
    return f"the {most} that may run at a time of the {whose} {'do' if most > 1 else 'does'}"


def _number(ahead: int) -> str:
    if ahead >= MOST_AHEAD:
        return f"more than {MOST_AHEAD:,} jobs"
    return f"{ahead:,} job{'' if ahead == 1 else 's'}"


def _in_line(standing: Standing, detail: str) -> Why:
    if standing.ahead < standing.free:
        return Why(Gate.IN_LINE, detail, standing.now)
    places = min(standing.at_once, standing.slots)  # what was claimed ahead does not run yet
    if standing.cost_s is None or standing.ahead >= MOST_AHEAD or places == 0:
        return Why(Gate.IN_LINE, detail, None)
    # Those that run are halfway, on average.
    wait = (standing.ahead - standing.free + 0.5) * standing.cost_s / places
    return Why(Gate.IN_LINE, detail, _after(standing, wait))


def _after(standing: Standing, seconds: float) -> Moment:
    return standing.now + timedelta(seconds=seconds)
