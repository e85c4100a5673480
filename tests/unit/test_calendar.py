"""When cron expressions match, above all in the nights in which clocks are changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice, product, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.adapters.calendar.cron import CronCalendar
from internal.domain.errors import ValidationError

CALENDAR = CronCalendar()
MINUTE = timedelta(minutes=1)

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
# A moment of the day before; then what the clocks do.
SPRING = {
    BERLIN: datetime(2026, 3, 28, 12, tzinfo=UTC),  # 02:00 becomes 03:00
    NEW_YORK: datetime(2026, 3, 7, 18, tzinfo=UTC),  # 02:00 becomes 03:00
    LORD_HOWE: datetime(2026, 10, 3, 2, tzinfo=UTC),  # 02:00 becomes 02:30
}
AUTUMN = {
    BERLIN: datetime(2026, 10, 24, 12, tzinfo=UTC),  # 03:00 becomes 02:00
    NEW_YORK: datetime(2026, 10, 31, 18, tzinfo=UTC),  # 02:00 becomes 01:00
    LORD_HOWE: datetime(2026, 4, 4, 2, tzinfo=UTC),  # 02:00 becomes 01:30
}


def local(zone: str, cron: str, after: datetime, days: int = 2) -> list[str]:
    """The slots of some days by the clocks there, with their offset from UTC."""
    found = takewhile(
        lambda slot: slot < after + timedelta(days=days), CALENDAR.slots(cron, zone, after)
    )
    return [f"{slot.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for slot in found]


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("30 2 * * *", BERLIN, ["29 03:00 +0200", "30 02:30 +0200"]),
        ("0,30 2 * * *", BERLIN, ["29 03:00 +0200", "30 02:00 +0200", "30 02:30 +0200"]),
        ("*/30 2 * * *", BERLIN, ["29 03:00 +0200", "30 02:00 +0200", "30 02:30 +0200"]),
        ("0 2,3 * * *", BERLIN, ["29 03:00 +0200", "30 02:00 +0200", "30 03:00 +0200"]),
        ("30 2 * * *", NEW_YORK, ["08 03:00 -0400", "09 02:30 -0400"]),
        ("15 2 * * *", LORD_HOWE, ["04 02:30 +1100", "05 02:15 +1100"]),
        ("45 2 * * *", LORD_HOWE, ["04 02:45 +1100", "05 02:45 +1100"]),
    ],
)
def test_what_falls_into_a_skipped_hour_runs_once_just_after(
    cron: str, zone: str, expected: list[str]
) -> None:
    assert local(zone, cron, SPRING[zone]) == expected


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("30 2 * * *", BERLIN, ["25 02:30 +0200", "26 02:30 +0100"]),
        ("*/30 2 25 * *", BERLIN, ["25 02:00 +0200", "25 02:30 +0200"]),
        ("0 2,3 25 * *", BERLIN, ["25 02:00 +0200", "25 03:00 +0100"]),
        ("30 1 * * *", NEW_YORK, ["01 01:30 -0400", "02 01:30 -0500"]),
        ("45 1 * * *", LORD_HOWE, ["05 01:45 +1100", "06 01:45 +1030"]),
        ("15 1 * * *", LORD_HOWE, ["05 01:15 +1100", "06 01:15 +1030"]),
    ],
)
def test_what_falls_into_a_repeated_hour_runs_once(
    cron: str, zone: str, expected: list[str]
) -> None:
    assert local(zone, cron, AUTUMN[zone]) == expected


def test_every_second_hour_is_a_choice_of_hours_and_goes_by_the_clock() -> None:
    in_spring = local(BERLIN, "0 */2 29 3 *", SPRING[BERLIN])
    assert in_spring[:3] == ["29 00:00 +0100", "29 03:00 +0200", "29 04:00 +0200"]
    in_autumn = local(BERLIN, "0 */2 25 10 *", AUTUMN[BERLIN])
    assert in_autumn[:3] == ["25 00:00 +0200", "25 02:00 +0200", "25 04:00 +0100"]


@pytest.mark.parametrize("hours", ["*", "*/1", "0-23"])
def test_what_runs_every_hour_runs_in_every_hour_that_passes(hours: str) -> None:
    in_spring = local(BERLIN, f"0 {hours} 29 3 *", SPRING[BERLIN])
    assert in_spring[:3] == ["29 00:00 +0100", "29 01:00 +0100", "29 03:00 +0200"]
    assert len(in_spring) == 23
    in_autumn = local(BERLIN, f"*/30 {hours} 25 10 *", AUTUMN[BERLIN])
    assert in_autumn[4:9] == [
        "25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100",
    ]  # fmt: skip
    assert len(in_autumn) == 2 * 25


def test_a_midnight_that_is_skipped_comes_just_after() -> None:
    """In Havana the clocks go from 00:00 to 01:00."""
    before = datetime(2026, 3, 7, 12, tzinfo=UTC)
    assert local("America/Havana", "0 0 * * *", before) == ["08 01:00 -0400", "09 00:00 -0400"]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 0 * * 7", ["2026-01-04", "2026-01-11"]),
        ("0 0 * * sun", ["2026-01-04", "2026-01-11"]),
        ("0 0 13 * 5", ["2026-01-02", "2026-01-09"]),
        ("0 0 */2 * 5", ["2026-01-09", "2026-01-23"]),
        ("0 0 L * *", ["2026-01-31", "2026-02-28"]),
        ("0 0 LW * *", ["2026-01-30", "2026-02-27"]),
        ("0 0 * * MON#1", ["2026-01-05", "2026-02-02"]),
        ("0 0 * * 5L", ["2026-01-30", "2026-02-27"]),
        ("0 0 29 feb *", ["2028-02-29", "2032-02-29"]),
        ("0 0 1 1-12/6 *", ["2026-07-01", "2027-01-01"]),
    ],
)
def test_days_are_named_as_cron_names_them(cron: str, expected: list[str]) -> None:
    slots = CALENDAR.slots(cron, "UTC", datetime(2026, 1, 1, 1, tzinfo=UTC))
    assert [f"{slot:%Y-%m-%d}" for slot in islice(slots, 2)] == expected


@pytest.mark.parametrize(
    "cron",
    [
        "", " ", "* * * *", "* * * * * *", "@daily", "@every 5m", "60 * * * *", "* 24 * * *",
        "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-3 * * * *", "a * * * *",
        "-1 * * * *", "1.5 * * * *", "* * * * MON#6", "0 0 31 2 *", "? * * * *", "* * * * *\x85",
        "\u0660 * * * *", "* * * * \u017fun", "1#2/3 * * * *",
    ],
)  # fmt: skip
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    assert CALENDAR.fault_of_cron(cron)


@given(st.text("0123456789*/,-#LWJANSUN@ ", max_size=30))
def test_whatever_comes_in_is_refused_or_read(cron: str) -> None:
    if CALENDAR.fault_of_cron(cron) is None:
        list(islice(CALENDAR.slots(cron, BERLIN, SPRING[BERLIN]), 3))


@pytest.mark.parametrize(
    "name",
    [
        "", "Mars/Olympus", "europe/berlin", "EUROPE/BERLIN", "Europe/Berlin ", "../etc/passwd",
        "/usr/share/zoneinfo/UTC", "Europe/../UTC", "Europe", "Europe/Berlin\0", "UTC+2", "+02:00",
        "localtime", "Factory", "posixrules",
    ],
)  # fmt: skip
def test_only_the_names_of_the_iana_are_zones(name: str) -> None:
    assert CALENDAR.fault_of_timezone(name)
    with pytest.raises(ValidationError, match="timezone"):
        next(CALENDAR.slots("* * * * *", name, SPRING[BERLIN]))


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5"])
def test_places_are_zones(name: str) -> None:
    assert CALENDAR.fault_of_timezone(name) is None


# The day before a change: by one hour, half an hour, two hours, and a whole day; at 2 or 3, at
# midnight and a minute after; of zones whose standard time is that of the summer, or is changed for
# a month of fasting, or was changed for good.
CHANGES = [
    *((zone, year[zone]) for year in (SPRING, AUTUMN) for zone in year),
    ("America/Havana", datetime(2026, 3, 7, 12, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 10, 31, 12, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 23, 12, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 10, 29, 12, tzinfo=UTC)),
    (LORD_HOWE, datetime(2027, 10, 2, 2, tzinfo=UTC)),
    (LORD_HOWE, datetime(2027, 4, 3, 2, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2027, 3, 27, 12, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2027, 10, 30, 12, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 29, 12, tzinfo=UTC)),
    ("Pacific/Kiritimati", datetime(1994, 12, 30, 20, tzinfo=UTC)),
    ("Asia/Gaza", datetime(2023, 4, 28, 12, tzinfo=UTC)),
    ("Asia/Gaza", datetime(2023, 10, 27, 12, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 3, 12, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 2, 17, 12, tzinfo=UTC)),
    ("Pacific/Chatham", datetime(2027, 9, 25, 2, tzinfo=UTC)),
    ("Pacific/Chatham", datetime(2027, 4, 3, 2, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(1985, 12, 31, 6, tzinfo=UTC)),
    ("Europe/Dublin", datetime(2027, 3, 27, 12, tzinfo=UTC)),
    ("Europe/Dublin", datetime(2027, 10, 30, 12, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2027, 2, 6, 12, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2027, 3, 13, 12, tzinfo=UTC)),
    ("America/St_Johns", datetime(2010, 3, 13, 12, tzinfo=UTC)),
    ("America/St_Johns", datetime(2010, 11, 6, 12, tzinfo=UTC)),
    ("America/Caracas", datetime(2016, 4, 30, 12, tzinfo=UTC)),
    ("Asia/Pyongyang", datetime(2018, 5, 4, 2, tzinfo=UTC)),
    ("Asia/Pyongyang", datetime(2015, 8, 14, 2, tzinfo=UTC)),
]
MINUTES = {
    "*": range(60),
    "0": [0],
    "*/15": range(0, 60, 15),
    "7,50": [7, 50],
    "29-31": range(29, 32),
    "45": [45],
    "15,45": [15, 45],
}
HOURS = {
    "*": range(24), "*/2": range(0, 24, 2), "0-23": range(24), "2": [2], "1,2,3": [1, 2, 3],
    "0": [0], "0-6": range(7), "23": [23],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]}, {change[1]:%Y-%m-%d}")
def test_around_a_change_of_the_clocks_the_slots_are_those_of_the_rule(
    change: tuple[str, datetime],
) -> None:
    wrong = {}
    for number, (minutes, hours) in enumerate(product(MINUTES, HOURS)):
        cron = f"{minutes} {hours} * * *"
        # another moment to look on from for each expression
        found, right = both(*change, cron, number * 131 % (24 * 60))
        if found != right:
            wrong[cron] = (found, right)
    assert wrong == {}


def both(
    zone: str, day_before: datetime, cron: str, later: int
) -> tuple[list[datetime], list[datetime]]:
    """What the calendar says of two days, and what the rule does."""
    minutes, hours, *_ = cron.split()
    after, end = day_before + later * MINUTE, day_before + timedelta(days=2)
    found = takewhile(lambda slot: slot < end, CALENDAR.slots(cron, zone, after))
    right = by_the_rule(zone, minutes, hours, day_before)
    return list(found), [slot for slot in right if after < slot < end]


@cache
def by_the_rule(zone: str, minutes: str, hours: str, start: datetime) -> Sequence[datetime]:
    """All hours: each minute that passes. Else each that the clock should show, and once."""
    passing, shows = minutes_of(zone, start)
    right_minutes, right_hours = set(MINUTES[minutes]), set(HOURS[hours])
    if len(right_hours) == 24:
        return [
            moment
            for moment, shown in zip(passing, shows, strict=True)
            if shown.minute in right_minutes
        ]
    shown_at: dict[datetime, datetime] = {}
    for moment, shown in zip(passing, shows, strict=True):
        shown_at.setdefault(shown, moment)
    wall = (shows[0] + number * MINUTE for number in range((shows[-1] - shows[0]) // MINUTE))
    named = [each for each in wall if each.minute in right_minutes and each.hour in right_hours]
    return sorted({first_after(each, shown_at) for each in named})


@cache
def minutes_of(zone: str, start: datetime) -> tuple[Sequence[datetime], Sequence[datetime]]:
    """Each minute of four days, and what the clock there shows."""
    passing = [start + number * MINUTE for number in range(-24 * 60, 3 * 24 * 60)]
    return passing, [each.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for each in passing]


def first_after(wall: datetime, shown_at: dict[datetime, datetime]) -> datetime:
    while wall not in shown_at:
        wall += MINUTE
    return shown_at[wall]


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # Half an hour is skipped: 2:00 becomes 2:30 on 3 October 2027.
        (
            "45 * 3 10 *",
            LORD_HOWE,
            (2027, 10, 2, 14),
            ["01:45 +1030", "02:45 +1100", "03:45 +1100"],
        ),
        (
            "30 * 3 10 *",
            LORD_HOWE,
            (2027, 10, 2, 14),
            ["01:30 +1030", "02:30 +1100", "03:30 +1100"],
        ),
        (
            "15 * 3 10 *",
            LORD_HOWE,
            (2027, 10, 2, 14),
            ["01:15 +1030", "03:15 +1100", "04:15 +1100"],
        ),
        # Half an hour is repeated: 2:00 becomes 1:30 on 4 April 2027.
        ("45 * 4 4 *", LORD_HOWE, (2027, 4, 3, 14), ["01:45 +1100", "01:45 +1030", "02:45 +1030"]),
        ("15 * 4 4 *", LORD_HOWE, (2027, 4, 3, 14), ["01:15 +1100", "02:15 +1030", "03:15 +1030"]),
        # Two hours are skipped.
        ("30 * 28 3 *", "Antarctica/Troll", (2027, 3, 28, 0), ["00:30 +0000", "03:30 +0200"]),
        ("30 2 28 3 *", "Antarctica/Troll", (2027, 3, 28, 0), ["03:00 +0200"]),
        # No 30 December 2011 there: what names an hour of it runs just after, and no other.
        ("0 2 30 12 *", "Pacific/Apia", (2011, 12, 29, 0), ["00:00 +1400"]),
        ("0 * 31 12 *", "Pacific/Apia", (2011, 12, 30, 9), ["00:00 +1400", "01:00 +1400"]),
        # No midnight.
        ("0 0 4 11 *", "America/Sao_Paulo", (2018, 11, 3, 12), ["01:00 -0200"]),
        # By 45 minutes beside UTC, at 2:45.
        ("50 2 26 9 *", "Pacific/Chatham", (2027, 9, 25, 0), ["03:45 +1345"]),
        ("50 * 26 9 *", "Pacific/Chatham", (2027, 9, 25, 13), ["01:50 +1245", "03:50 +1345"]),
    ],
)
def test_slots_beside_a_change_of_the_clocks_are_those_of_the_table(
    cron: str, zone: str, after: tuple[int, int, int, int], expected: list[str]
) -> None:
    slots = CALENDAR.slots(cron, zone, datetime(*after, tzinfo=UTC))
    shown = [f"{slot.astimezone(ZoneInfo(zone)):%H:%M %z}" for slot in islice(slots, 12)]
    start = shown.index(expected[0])
    assert shown[start : start + len(expected)] == expected


def test_what_never_runs_hourly_on_a_day_that_a_zone_has_left_out_comes_a_year_later() -> None:
    slots = CALENDAR.slots("0 * 30 12 *", "Pacific/Apia", datetime(2011, 12, 29, tzinfo=UTC))
    assert next(slots) == datetime(2012, 12, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone"),
    [("0 12 29 2 *", "UTC"), ("0 * 29 2 *", BERLIN), ("0 12 29 2 *", LORD_HOWE)],
)
def test_a_leap_day_is_waited_for(cron: str, zone: str) -> None:
    slots = CALENDAR.slots(cron, zone, datetime(2026, 7, 1, tzinfo=UTC))
    days = {slot.astimezone(ZoneInfo(zone)).date() for slot in islice(slots, 30)}
    assert date(2028, 2, 29) in days
    assert all((day.month, day.day) == (2, 29) for day in days)


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 4,6 *", "* * */31 * mon#5"])
def test_what_never_runs_says_so_and_does_not_hang(cron: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert CALENDAR.fault_of_cron(cron) or next(CALENDAR.slots(cron, BERLIN, now), None) is None


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("@hourly", "'0 \\* \\* \\* \\*'"),
        ("@Monthly", "'0 0 1 \\* \\*'"),
        ("@reboot", "five fields"),
        ("0 0 ? * *", "write '\\*'"),
        ("22-2 * * * *", "'22-2' for the minute: a range runs upwards"),
        ("0 22-2/2 * * *", "'22-2/2' for the hour: a range runs upwards"),
        ("0 0 15W * *", "only 'LW'"),
        ("*/61 * * * *", "at most 59"),
        ("*/60 * * * *", "at most 59"),
        ("0 */24 * * *", "at most 23"),
        ("1/5 * * * *", "'1/5' for the minute: a step goes with a range"),
        ("0 0 * * 1/2", "'1/2' for the day of week: a step goes with a range"),
    ],
)
def test_a_refusal_names_the_part_and_what_to_write(cron: str, why: str) -> None:
    assert re.search(why, CALENDAR.fault_of_cron(cron) or "")


def test_tabs_part_fields_too() -> None:
    assert CALENDAR.fault_of_cron("0\t0\t*\t*\t*") is None
