from __future__ import annotations

from typing import Any

import msgspec
import pytest

from internal.adapters.http.faults import invalid
from internal.adapters.http.job_shapes import BatchRequest
from internal.domain.errors import FieldError
from internal.domain.submission import Submission


def fault_of(body: bytes, type_: Any = Submission) -> FieldError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=type_)
    (fault,) = invalid(str(caught.value)).details
    return fault


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b"[]", "body", "must be an object, not an array"),
        (b"{}", "type", "is required"),
        (b'{"type": 1}', "type", "must be a string, not an integer"),
        (b'{"type": ""}', "type", "must be a string of length >= 1"),
        (b'{"type": "a\\u0000"}', "type", "must not hold control characters"),
        (b'{"type": "a", "nope": 1}', "nope", "is not a known field"),
        (b'{"type": "a", "backoff": {"nope": 1}}', "backoff.nope", "is not a known field"),
        (b'{"type": "a", "priority": "urgent"}', "priority",
         "must be one of high, medium, low, not 'urgent'"),
        (b'{"type": "a", "backoff": {"strategy": "no"}}', "backoff.strategy",
         "must be one of exponential, fixed, not 'no'"),
        (b'{"type": "a", "max_attempts": 0}', "max_attempts", "must be an integer >= 1"),
        (b'{"type": "a", "max_attempts": "3"}', "max_attempts",
         "must be an integer or null, not a string"),
        (b'{"type": "a", "tags": ["a", 2]}', "tags[1]", "must be a string, not an integer"),
        (b'{"type": "a", "run_at": "tomorrow"}', "run_at",
         "must be a date and time with zone, like 2026-01-31T12:00:00Z"),
        (b'{"type": "a", "run_at": "2026-01-31T12:00:00"}', "run_at",
         "must be a date and time with zone, like 2026-01-31T12:00:00Z"),
    ],
)  # fmt: skip
def test_a_fault_names_its_field_and_what_is_allowed(body: bytes, field: str, message: str) -> None:
    fault = fault_of(body)
    assert (fault.field, fault.message) == (field, message)


def test_a_fault_in_a_batch_names_the_job() -> None:
    fault = fault_of(b'{"jobs": [{"type": "a"}, {"type": "a", "tags": 1}]}', BatchRequest)
    assert (fault.index, fault.field) == (1, "tags")


def test_the_message_says_where_the_first_fault_is() -> None:
    error = invalid("Expected `str`, got `int` - at `$.jobs[1].type`")
    assert error.message == "jobs[1].type must be a string, not an integer"
