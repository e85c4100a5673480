from __future__ import annotations

from typing import Any

import msgspec
import pytest

from internal.domain.estimates import Backlog, drain_seconds, start_after


@pytest.mark.parametrize(
    ("ahead", "places", "running", "seconds"),
    [
        (0, 1, (50.0,), 10.0),  # the one that runs has ten seconds left
        (1, 1, (50.0,), 70.0),  # and then comes another one
        (0, 1, (80.0,), 0.0),  # it has run for longer than such jobs do: any moment
        (0, 2, (50.0, 20.0), 10.0),
        (1, 2, (50.0, 20.0), 40.0),
        (5, 2, (50.0, 20.0), 160.0),
        (1, 3, (50.0,), 60.0),  # two places were given away and begin about now
        (0, 0, (), None),
        (0, 1, (50.0, 59.0), 10.0),  # claimed ahead: there are no more places than that
    ],
)
def test_who_waits_starts_when_a_place_comes_free(
    ahead: int, places: int, running: tuple[float, ...], seconds: float | None
) -> None:
    assert start_after(ahead, places=places, cost_s=60.0, running=running) == seconds


def a_backlog(**fields: Any) -> Backlog:
    usual = Backlog(
        waiting=100,
        running=10,
        work_s=210.0,  # of two seconds each
        slots=10,
        free=0,
        held_up=False,
        max_running=None,
        starts_per_s=None,
    )
    return msgspec.structs.replace(usual, **fields)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 21.0),
        ({"waiting": 0, "running": 0, "work_s": None}, 0.0),
        ({"work_s": None}, None),  # none of them has ended yet
        ({"running": 2000, "work_s": 2200.0}, 220.0),  # most of them are claimed ahead
        ({"slots": 100, "free": 90}, 2.1),  # there is room for all of them
        ({"slots": 100, "free": 90, "held_up": True}, 21.0),  # which is of no use to them
        ({"slots": 100, "free": 90, "max_running": 20}, 10.5),
        ({"starts_per_s": 2.0}, 50.0),
        ({"waiting": 1, "running": 0, "work_s": 60.0, "free": 10}, 60.0),
        ({"waiting": 0, "running": 3, "work_s": 90.0}, 30.0),  # halfway, as far as one can tell
        ({"waiting": 5, "running": 0, "work_s": 300.0, "slots": 5}, None),  # others have the slots
    ],
)
def test_a_backlog_is_divided_by_what_runs_at_a_time(
    fields: dict[str, Any], seconds: float | None
) -> None:
    assert drain_seconds(a_backlog(**fields)) == seconds
