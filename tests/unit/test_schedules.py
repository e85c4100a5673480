"""What a schedule runs, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.adapters.calendar.cron import CronCalendar
from internal.domain import schedules
from internal.domain.errors import ValidationError
from internal.domain.schedules import Schedule, ScheduleRequest, plan, preview, slot_key
from internal.domain.slots import MOST_MADE_UP, Missed

CALENDAR = CronCalendar()
NOON = datetime(2026, 5, 4, 12, 0, 0, 123_456, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def a_request(**fields: Any) -> ScheduleRequest:
    timing = {} if "every_ms" in fields else {"cron": "0 * * * *"}
    body = {"name": "a", "job": {"type": "noop"}, **timing, **fields}
    return msgspec.json.decode(msgspec.json.encode(body), type=ScheduleRequest)


def a_schedule(at: datetime = NOON, **fields: Any) -> Schedule:
    return schedules.create(a_request(**fields), at, CALENDAR)


def replaced(schedule: Schedule, at: datetime, **fields: Any) -> Schedule:
    return schedules.replace(schedule, a_request(**fields), at, CALENDAR)


def run_all(schedule: Schedule, now: datetime) -> Iterator[datetime]:
    """Every slot that it runs by now, whatever number of rounds it takes."""
    while schedule.next_run_at is not None and schedule.next_run_at <= now:
        planned = plan(schedule, now, CALENDAR)
        yield from planned.slots
        schedule = msgspec.structs.replace(schedule, next_run_at=planned.next_run_at)


def test_the_first_slot_is_the_next_one_of_the_calendar() -> None:
    assert a_schedule().next_run_at == datetime(2026, 5, 4, 13, tzinfo=UTC)


def test_a_slot_at_this_very_moment_is_over() -> None:
    assert a_schedule(datetime(2026, 5, 4, 13, tzinfo=UTC)).next_run_at == datetime(
        2026, 5, 4, 14, tzinfo=UTC
    )


def test_every_ms_counts_from_the_creation() -> None:
    schedule = a_schedule(every_ms=90_000)
    assert schedule.timing.anchor == NOON.replace(microsecond=123_000)
    assert schedule.next_run_at == schedule.timing.anchor + timedelta(seconds=90)


@given(st.integers(1_000, 10**9), st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_the_slots_of_every_ms_never_drift(every_ms: int, later: timedelta) -> None:
    schedule = a_schedule(every_ms=every_ms)
    after = NOON + later
    slots = list(islice(schedule.timing.slots(CALENDAR)(after), 3))
    step = timedelta(milliseconds=every_ms)
    assert after < slots[0] <= after + step
    assert [slot - slots[0] for slot in slots] == [0 * step, step, 2 * step]
    assert (slots[0] - schedule.timing.anchor) % step == timedelta(0)


def test_what_is_not_due_runs_nothing() -> None:
    schedule = a_schedule()
    planned = plan(schedule, NOON, CALENDAR)
    assert (planned.slots, planned.next_run_at) == ((), schedule.next_run_at)


@pytest.mark.parametrize("missed", list(Missed))
def test_a_slot_on_time_runs_whatever_the_rule(missed: Missed) -> None:
    schedule = a_schedule(missed=missed)
    one = datetime(2026, 5, 4, 13, tzinfo=UTC)
    planned = plan(schedule, one + timedelta(milliseconds=5), CALENDAR)
    assert (planned.slots, planned.next_run_at) == ((one,), one + HOUR)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        (Missed.SKIP, []),
        (Missed.ONCE, [datetime(2026, 5, 5, 13, tzinfo=UTC)]),
        (Missed.ALL, [datetime(2026, 5, 4, 13, tzinfo=UTC) + n * HOUR for n in range(25)]),
    ],
)
def test_after_a_stop_of_a_day_each_rule_makes_up_what_it_says(
    missed: Missed, expected: list[datetime]
) -> None:
    now = datetime(2026, 5, 5, 13, 30, tzinfo=UTC)
    schedule = a_schedule(missed=missed)
    assert list(run_all(schedule, now)) == expected
    assert plan(schedule, now, CALENDAR).next_run_at == datetime(2026, 5, 5, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("month", "day", "hours", "skipped"), [(3, 29, 23, 1), (10, 25, 25, 0)], ids=str
)
def test_a_day_of_another_length_is_made_up_hour_by_hour(
    month: int, day: int, hours: int, skipped: int
) -> None:
    berlin = datetime(2026, month, day, tzinfo=UTC) - (2 - skipped) * HOUR
    schedule = a_schedule(berlin - HOUR / 2, missed="all", timezone="Europe/Berlin")
    assert len(list(run_all(schedule, berlin + hours * HOUR - HOUR / 2))) == hours


@pytest.mark.parametrize(("late_s", "runs"), [(0, 1), (59, 1), (60, 1), (61, 0)])
def test_skip_leaves_out_what_is_later_than_the_grace(late_s: int, runs: int) -> None:
    now = datetime(2026, 5, 6, 13, tzinfo=UTC) + timedelta(seconds=late_s)
    assert len(list(run_all(a_schedule(), now))) == runs


def test_skip_runs_none_but_the_newest_of_what_came_in_between() -> None:
    schedule = a_schedule(every_ms=1_000)
    (slot,) = run_all(schedule, NOON + timedelta(seconds=30))
    assert slot == schedule.timing.anchor + timedelta(seconds=30)


def test_all_makes_up_the_newest_ten_thousand_a_part_at_a_time() -> None:
    schedule = a_schedule(cron="* * * * *", missed="all")
    now = NOON + 30 * DAY
    slots = list(run_all(schedule, now))
    assert len(slots) == MOST_MADE_UP
    assert slots == sorted(set(slots))
    assert slots[-1] == now.replace(second=0, microsecond=0)
    assert len(plan(schedule, now, CALENDAR).slots) == schedules.MOST_AT_ONCE


def test_of_all_that_wait_for_room_the_oldest_is_tried_alone() -> None:
    schedule = a_schedule(cron="* * * * *", missed="all")
    held = msgspec.structs.replace(schedule, held_until=NOON)
    planned = plan(held, NOON + 30 * DAY, CALENDAR)
    assert planned.slots == (schedule.next_run_at,)
    assert planned.next_run_at == planned.slots[0] + timedelta(minutes=1)


def test_large_jobs_are_made_up_fewer_at_a_time() -> None:
    job = {"type": "noop", "payload": {"text": "x" * 262_000}}
    schedule = a_schedule(every_ms=1_000, missed="all", job=job)
    assert len(plan(schedule, NOON + DAY, CALENDAR).slots) == 100


def test_all_looks_back_as_far_as_ten_thousand_reach() -> None:
    schedule = a_schedule(cron="0 * * * *", missed="all")
    now = datetime(2027, 10, 4, 12, tzinfo=UTC)
    (first, *_) = plan(schedule, now, CALENDAR).slots
    assert first == now - (MOST_MADE_UP - 1) * HOUR


def test_a_slot_that_no_calendar_has_any_more_leads_on_to_the_next() -> None:
    schedule = msgspec.structs.replace(a_schedule(missed="once"), next_run_at=NOON)
    planned = plan(schedule, NOON, CALENDAR)
    assert (planned.slots, planned.next_run_at) == ((), datetime(2026, 5, 4, 13, tzinfo=UTC))


def test_a_paused_schedule_has_no_slot_and_what_it_passes_is_not_missed() -> None:
    paused = schedules.pause(a_schedule(missed="all"), NOON)
    assert (paused.paused, paused.next_run_at) == (True, None)
    resumed = schedules.resume(paused, NOON + DAY, CALENDAR)
    assert resumed.next_run_at == datetime(2026, 5, 5, 13, tzinfo=UTC)
    assert not list(run_all(resumed, NOON + DAY))


def test_to_pause_or_resume_again_changes_nothing() -> None:
    schedule = a_schedule()
    assert schedules.resume(schedule, NOON + DAY, CALENDAR) is schedule
    paused = schedules.pause(schedule, NOON)
    assert schedules.pause(paused, NOON + DAY) is paused


def test_every_ms_goes_on_in_step_after_a_pause() -> None:
    schedule = a_schedule(every_ms=3_600_000)
    resumed = schedules.resume(schedules.pause(schedule, NOON), NOON + 1.75 * HOUR, CALENDAR)
    assert resumed.next_run_at == schedule.timing.anchor + 2 * HOUR


def test_a_new_job_or_rule_leaves_the_slots_as_they_are_the_missed_ones_too() -> None:
    schedule = a_schedule(every_ms=3_600_000)
    changed = replaced(schedule, NOON + DAY, every_ms=3_600_000, missed="all", name="b")
    assert (changed.next_run_at, changed.timing) == (schedule.next_run_at, schedule.timing)
    assert len(list(run_all(changed, NOON + DAY))) == 24


def test_a_new_timing_begins_anew() -> None:
    schedule = a_schedule(every_ms=3_600_000)
    changed = replaced(schedule, NOON + DAY, every_ms=1_800_000)
    assert changed.next_run_at == changed.timing.anchor + HOUR / 2
    assert changed.timing.anchor > NOON + DAY - HOUR
    by_zone = replaced(a_schedule(cron="0 0 * * *"), NOON, cron="0 0 * * *", timezone="Asia/Tokyo")
    assert by_zone.next_run_at == datetime(2026, 5, 4, 15, tzinfo=UTC)


def test_replacing_pauses_and_resumes() -> None:
    paused = replaced(a_schedule(), NOON, paused=True)
    assert (paused.paused, paused.next_run_at) == (True, None)
    resumed = replaced(paused, NOON + DAY)
    assert resumed.next_run_at == datetime(2026, 5, 5, 13, tzinfo=UTC)
    assert a_schedule(paused=True).next_run_at is None


def test_a_preview_goes_over_a_change_of_the_clocks() -> None:
    schedule = a_schedule(cron="30 2 * * *", timezone="Europe/Berlin", paused=True)
    shown = preview(schedule, 3, datetime(2026, 3, 28, tzinfo=UTC), CALENDAR)
    assert [f"{slot:%d %H:%M}" for slot in shown] == ["28 01:30", "29 01:00", "30 00:30"]


def test_the_key_of_a_slot_says_which_it_is() -> None:
    key = slot_key(UUID(int=7), datetime(2026, 5, 4, 13, tzinfo=UTC))
    assert key == "schedule/00000000-0000-0000-0000-000000000007/2026-05-04T13:00:00Z"


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"cron": None}, ["cron"]),
        ({"cron": "0 0 * * *", "every_ms": 1_000}, ["every_ms"]),
        ({"cron": "0 0 30 2 *"}, ["cron"]),
        ({"cron": "* * */20 * 1L"}, ["cron"]),
        ({"cron": "x", "timezone": "y"}, ["cron", "timezone"]),
        ({"every_ms": 1_000, "timezone": "europe/berlin"}, ["timezone"]),
        ({"job": {"type": "a", "idempotency_key": "k"}}, ["job.idempotency_key"]),
        ({"job": {"type": "a", "run_at": "2030-01-01T00:00:00Z"}}, ["job.run_at"]),
        ({"job": {"type": "a", "expires_at": "2030-01-01T00:00:00Z"}}, ["job.expires_at"]),
    ],
    ids=str,
)
def test_what_can_never_run_or_is_of_one_job_is_refused(
    fields: dict[str, Any], at_fault: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        schedules.check(a_request(**fields), CALENDAR, NOON)
    assert [each.field for each in caught.value.details] == at_fault
