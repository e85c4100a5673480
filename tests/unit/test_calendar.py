"""When cron expressions match, above all in the nights in which clocks are changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
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


# Zones whose clocks are changed at 2 or 3, by half an hour, and at midnight.
CHANGES = [
    *((zone, year[zone]) for year in (SPRING, AUTUMN) for zone in year),
    ("America/Havana", datetime(2026, 3, 7, 12, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 10, 31, 12, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 23, 12, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 10, 29, 12, tzinfo=UTC)),
]
MINUTES = {
    "*": range(60),
    "0": [0],
    "*/15": range(0, 60, 15),
    "7,50": [7, 50],
    "29-31": range(29, 32),
}
HOURS = {
    "*": range(24), "*/2": range(0, 24, 2), "0-23": range(24), "2": [2], "1,2,3": [1, 2, 3],
    "0": [0], "0-6": range(7), "23": [23],
}  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(CHANGES),
    st.sampled_from(list(MINUTES)),
    st.sampled_from(list(HOURS)),
    st.integers(0, 24 * 60),
)
def test_around_a_change_of_the_clocks_the_slots_are_those_of_the_rule(
    change: tuple[str, datetime], minutes: str, hours: str, later: int
) -> None:
    zone, day_before = change
    after = day_before + later * MINUTE
    end = day_before + timedelta(days=2)
    found = CALENDAR.slots(f"{minutes} {hours} * * *", zone, after)
    expected = by_the_rule(zone, set(MINUTES[minutes]), set(HOURS[hours]), day_before)
    assert list(takewhile(lambda slot: slot < end, found)) == [
        slot for slot in sorted(expected) if after < slot < end
    ]


def by_the_rule(
    zone: str, minutes: set[int], hours: set[int], start: datetime
) -> Iterator[datetime]:
    """All hours: each minute that passes. Else each that the clock should show, and once."""
    passing = [start + number * MINUTE for number in range(-24 * 60, 3 * 24 * 60)]
    shows = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in passing]
    if len(hours) == 24:
        return (each for each, shown in zip(passing, shows, strict=True) if shown.minute in minutes)
    shown_at: defaultdict[datetime, list[datetime]] = defaultdict(list)
    for moment, shown in zip(passing, shows, strict=True):
        shown_at[shown].append(moment)
    wall = [shows[0] + number * MINUTE for number in range((shows[-1] - shows[0]) // MINUTE)]
    named = [each for each in wall if each.minute in minutes and each.hour in hours]
    return iter({first_after(each, shown_at) for each in named})


def first_after(wall: datetime, shown_at: dict[datetime, list[datetime]]) -> datetime:
    while wall not in shown_at:
        wall += MINUTE
    return shown_at[wall][0]
