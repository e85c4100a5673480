from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from internal.domain.jobs import Status
from internal.domain.why import Gate, Limits, Standing, explain

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def a_standing(status: Status = Status.QUEUED, **fields: Any) -> Standing:
    usual = Standing(
        status=status,
        now=NOW,
        run_at=NOW,
        queue="default",
        type="noop",
        paused=False,
        served=True,
        ahead=0,
        ahead_of_key=0,
        cost_s=2.0,
    )
    return msgspec.structs.replace(usual, **fields)


def limits(**fields: Any) -> Limits:
    none = Limits(
        concurrency_key="",
        rate_key="",
        max_running=None,
        free=None,
        tokens=None,
        tokens_per_s=None,
        max_running_per_key=1,
        key_free=None,
        key_tokens=None,
        key_tokens_per_s=None,
    )
    return msgspec.structs.replace(none, **fields)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_job_that_runs_or_has_ended_waits_for_nothing() -> None:
    for status in (Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED):
        why = explain(a_standing(status))
        assert (why.gate, why.estimated_start_at) == (Gate.NONE, None)


def test_a_scheduled_job_starts_when_it_is_due() -> None:
    why = explain(a_standing(Status.SCHEDULED, run_at=after(60)))
    assert (why.gate, why.estimated_start_at) == (Gate.DUE, after(60))
    assert "2026-01-31 12:01:00 UTC" in why.detail

    paused = explain(a_standing(Status.SCHEDULED, run_at=after(60), paused=True))
    assert (paused.gate, paused.estimated_start_at) == (Gate.DUE, None)
    assert "paused" in paused.detail


def test_a_blocked_job_names_what_it_waits_for() -> None:
    one = explain(a_standing(Status.BLOCKED, waits_for=("a",)))
    assert (one.gate, one.detail) == (Gate.DEPENDENCY, "it waits for 1 job: a")
    many = explain(a_standing(Status.BLOCKED, waits_for=("a", "b", "c", "d")))
    assert many.detail == "it waits for 4 jobs: a, b, c ..."


def test_a_pause_comes_before_everything_else_in_line() -> None:
    why = explain(a_standing(paused=True, served=False, limits=limits(key_free=0)))
    assert (why.gate, why.estimated_start_at) == (Gate.PAUSED, None)


def test_without_a_worker_nobody_can_say_when() -> None:
    why = explain(a_standing(served=False, ahead=3))
    assert (why.gate, why.estimated_start_at) == (Gate.NO_WORKER, None)


@pytest.mark.parametrize(
    ("standing", "start"),
    [
        ({"free": 1}, NOW),
        ({"ahead": 2, "free": 2, "slots": 4, "at_once": 2}, after(0.5)),
        ({"ahead": 3, "free": 2, "slots": 4, "at_once": 2}, after(1.5)),
        ({"ahead": 0, "slots": 1, "at_once": 2000}, after(1)),  # most of them are claimed ahead
        ({"ahead": 0, "slots": 4}, None),  # all slots are with other queues
        ({"ahead": 0, "slots": 1, "at_once": 1, "cost_s": None}, None),
        ({"ahead": 10_000, "slots": 1, "at_once": 1}, None),  # or more
    ],
)
def test_in_line_a_job_starts_when_a_slot_comes_free(
    standing: dict[str, Any], start: datetime | None
) -> None:
    why = explain(a_standing(**standing))
    assert (why.gate, why.estimated_start_at) == (Gate.IN_LINE, start)


def test_a_long_line_is_not_counted_to_its_end() -> None:
    assert "more than 10,000 jobs" in explain(a_standing(ahead=10_000)).detail
    assert "1 job of" in explain(a_standing(ahead=1)).detail


KEY_FULL = {"key_free": 0, "concurrency_key": "a"}
FULL = {"free": 0, "max_running": 4}


@pytest.mark.parametrize(
    ("held_by", "gate", "seconds"),
    [
        (KEY_FULL, Gate.CONCURRENCY_KEY, 5.0),
        ({**KEY_FULL, **FULL}, Gate.CONCURRENCY_KEY, 5.5),  # when the last of them lets it go
        (FULL, Gate.MAX_RUNNING, 5.5),
        ({"free": 1, "max_running": 4, "tokens": 0.5, "tokens_per_s": 2.0}, Gate.RATE, 4.75),
        ({"key_tokens": 0.0, "key_tokens_per_s": 0.5, "rate_key": "b"}, Gate.RATE, 6.0),
    ],
)
def test_a_gated_job_names_the_limit_that_holds_it(
    held_by: dict[str, Any], gate: Gate, seconds: float
) -> None:
    standing = a_standing(
        ahead=9,
        ahead_of_key=2,
        running=(1.0, 0.5, 0.5, 0.5),
        running_of_key=(1.0,),
        limits=limits(**held_by),
    )
    why = explain(standing)
    assert (why.gate, why.estimated_start_at) == (gate, after(seconds))


def test_before_one_like_it_has_ended_only_rates_tell() -> None:
    full = explain(a_standing(cost_s=None, limits=limits(**FULL)))
    assert (full.gate, full.estimated_start_at) == (Gate.MAX_RUNNING, None)
    rate = {"tokens": 0.0, "tokens_per_s": 2.0}
    late = explain(a_standing(cost_s=None, limits=limits(**rate)))
    assert (late.gate, late.estimated_start_at) == (Gate.RATE, after(0.5))
    both = explain(a_standing(cost_s=None, limits=limits(**FULL, **rate)))
    assert (both.gate, both.estimated_start_at) == (Gate.MAX_RUNNING, None)


def test_a_gate_that_is_open_is_a_line() -> None:
    open_gate = limits(free=3, max_running=9, key_free=1)
    why = explain(a_standing(ahead=4, free=5, limits=open_gate))
    assert (why.gate, why.estimated_start_at) == (Gate.IN_LINE, NOW)
