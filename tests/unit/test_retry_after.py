"""What a Retry-After header asks for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.adapters.handlers.http_answer import MAX_RETRY_AFTER, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta(0)),
        ("90", timedelta(seconds=90)),
        ("999999999", MAX_RETRY_AFTER),
        ("Sun, 01 Mar 2026 12:01:30 GMT", timedelta(seconds=90)),
        ("Sunday, 01-Mar-26 12:01:30 GMT", timedelta(seconds=90)),
        ("Sun Mar  1 12:01:30 2026", timedelta(seconds=90)),
        ("Sun, 01 Mar 2020 12:00:00 GMT", timedelta(0)),
        ("Sun, 01 Mar 2099 12:00:00 GMT", MAX_RETRY_AFTER),
    ],
)
def test_seconds_and_all_forms_of_a_date_are_read(value: str, wait: timedelta) -> None:
    assert retry_after(value, NOW) == wait


@pytest.mark.parametrize(
    "value", ["", "soon", "-1", "1.5", "\u00b2", "9" * 5000, "Sun, 32 Mar 2026"]
)
def test_what_says_nothing_leaves_the_jobs_own_backoff(value: str) -> None:
    assert retry_after(value, NOW) is None


@given(st.text() | st.from_regex(r"\w{3}, \d\d? \w{3} \d{2,6} \d\d:\d\d:\d\d ([+-]\d{4}|GMT)"))
def test_no_header_breaks_it_or_waits_longer_than_a_day(value: str) -> None:
    wait = retry_after(value, NOW)
    assert wait is None or timedelta(0) <= wait <= MAX_RETRY_AFTER
