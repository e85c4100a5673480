"""Errors that differ only in what they are about are one failure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.domain.failures import (
    MAX_MESSAGE_CHARS,
    failure_of,
    normalised,
    read,
    written,
)
from internal.domain.ids import new_id

USER = new_id()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("ValueError: no order 4711", "ValueError: no order <number>"),
        ("ValueError: no order -3.5e7", "ValueError: no order <number>"),
        ("<Thing object at 0x7f3A9c>", "<Thing object at <number>>"),
        ("no commit 3f2a9bc1d4", "no commit <number>"),
        ("no commit 1234567890", "no commit <number>"),
        ("no user 0197d1a2-7b3c-7def-8abc-0123456789ab", "no user <uuid>"),
        ("KeyError: 'name'", "KeyError: <text>"),
        ('no column "ada" here', "no column <text> here"),
        ("can't reach it, don't try", "can't reach it, don't try"),
        ('an open "quotation', "an open <text>"),
        ("late since 2026-01-31T12:00:00.123Z", "late since <time>"),
        ("late since 2026-01-31 12:00:00+02:00", "late since <time>"),
        ("not before 2026-01-31", "not before <time>"),
        ("at 10.0.0.7:5432", "at <number>"),
        ("no file /var/spool/ada7/in.csv", "no file /var/spool/<id>/in.csv"),
        (
            "GET https://api.example.com/v/users/42/mail?page=3 failed",
            "GET https://api.example.com/v/users/<id>/mail?<query> failed",
        ),
        ("the server answered 503: busy 7", "the server answered 503: busy <number>"),
        ("HTTP 404 for item 404", "HTTP 404 for item <number>"),
        ("\n  first line\nTraceback of 5 lines", "first line"),
        ("", ""),
    ],
)
def test_what_differs_from_job_to_job_is_left_out(error: str, message: str) -> None:
    assert normalised(error) == message


@given(st.text(max_size=2_000))
def test_any_error_has_a_normal_form_of_one_short_line(error: str) -> None:
    message = normalised(error)
    assert len(message) <= MAX_MESSAGE_CHARS
    assert "\n" not in message


def test_a_fingerprint_is_the_types_and_the_messages() -> None:
    one = failure_of(USER, "mail", "no user 7")
    assert one == failure_of(USER, "mail", "no user 8\nand more")
    assert one.fingerprint == failure_of(new_id(), "mail", "no user 9").fingerprint
    assert one.fingerprint != failure_of(USER, "print", "no user 7").fingerprint
    assert one.fingerprint != failure_of(USER, "mail", "no customer 7").fingerprint
    assert written(one.fingerprint) == "6df49e3d30e61c11", "it is stored: it must stay as it is"


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_fingerprint_is_read_as_it_was_written(number: int) -> None:
    assert len(written(number)) == 16
    assert read(written(number)) == number
