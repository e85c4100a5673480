"""What is accepted as a job, and what becomes of it."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.domain.declaring import handler
from internal.domain.errors import FieldError, PayloadTooLargeError, ValidationError
from internal.domain.handlers import Handlers, JobContext
from internal.domain.jobs import Priority
from internal.domain.retry import Backoff, Strategy
from internal.domain.submission import (
    JobDefaults,
    NewJob,
    Submission,
    accept,
    default_backoff,
    request_hash,
)

DEFAULTS = JobDefaults(
    max_attempts=3,
    backoff=default_backoff(Strategy.EXPONENTIAL, timedelta(seconds=2), timedelta(seconds=60)),
    timeout_ms=900_000,
    max_payload_bytes=1000,
)
# What the HTTP layer makes a 400 of. The decoder raises all three itself.
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Thumbnail(msgspec.Struct, forbid_unknown_fields=True):
    width: int
    nested: Any = None


@handler("thumbnail", timeout="30s", max_attempts=5, pool="images")
async def thumbnail(job: Thumbnail, ctx: JobContext) -> None: ...


HANDLERS = Handlers([thumbnail])


def read(text: str | bytes) -> Submission:
    return msgspec.json.decode(text, type=Submission)


def submit(text: str | bytes, **settings: int) -> NewJob:
    return accept(read(text), HANDLERS, msgspec.structs.replace(DEFAULTS, **settings))


def with_payload(payload: str | bytes) -> bytes:
    raw = payload.encode() if isinstance(payload, str) else payload
    return b'{"type": "t", "payload": ' + raw + b"}"


def nested(depth: int) -> str:
    return '{"a":' + "[" * depth + "]" * depth + "}"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_defaults_are_filled_in() -> None:
    job = submit('{"type": "other"}')
    assert (job.payload, job.queue, job.route) == ("{}", "default", "pull:other")
    assert (job.priority, job.tags, job.run_at) == (Priority.MEDIUM, (), None)
    assert (job.max_attempts, job.timeout_ms) == (3, 900_000)
    assert job.backoff == Backoff(Strategy.EXPONENTIAL, 2_000, 60_000)


def test_a_handlers_own_limits_come_before_the_settings_and_after_the_submissions() -> None:
    job = submit('{"type": "thumbnail", "payload": {"width": 1}}')
    assert (job.route, job.max_attempts, job.timeout_ms) == ("images", 5, 30_000)
    own = submit(
        '{"type": "thumbnail", "payload": {"width": 1}, "max_attempts": 2, "timeout_ms": 7}'
    )
    assert (own.max_attempts, own.timeout_ms) == (2, 7)


def test_a_partial_backoff_keeps_the_rest_and_never_caps_its_own_base() -> None:
    job = submit('{"type": "t", "backoff": {"base_ms": 120000, "jitter": 0.5}}')
    assert job.backoff == Backoff(Strategy.EXPONENTIAL, 120_000, 120_000, 0.5)
    fixed = submit('{"type": "t", "backoff": {"strategy": "fixed", "base_ms": 5}}')
    assert fixed.backoff == Backoff(Strategy.FIXED, 5, 60_000)


@pytest.mark.parametrize(
    "payload",
    [
        '{"a":12345678901234567890123}',
        '{"a":1.10}',
        '{ "a" :  1e-999,\n "a": -0.0 }',
        '{"a":"\\u0000 \\u00e9 \\ud83d\\ude00 \\/"}',
        '{"gr\u00fc\u00df":"\U0001f600 \u2028 \x7f"}',
        nested(200),
    ],
)
def test_a_payload_is_kept_byte_for_byte(payload: str) -> None:
    assert submit(with_payload(payload)).payload == payload


@given(st.dictionaries(st.text(), json_values, max_size=3))
def test_any_json_object_is_kept_byte_for_byte(value: dict[str, Any]) -> None:
    payload = msgspec.json.encode(value)
    job = submit(with_payload(payload), max_payload_bytes=1_000_000)
    assert job.payload.encode() == payload


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":"\\ud800"}',
        b'{"a":"\\ud800\\u0041"}',
        b'{"a":"\\udc00"}',
        b'{"a":"\x00"}',
        b'{"a":"\xff"}',
        b'{"\xff":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"a":NaN}',
        b'{"a":01}',
        b'{"a":1',
        b'{"a":1}}',
        b"",
        nested(100_000).encode(),
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_what_no_handler_could_read_is_refused(payload: bytes) -> None:
    with pytest.raises((*MALFORMED, ValidationError)):
        submit(with_payload(payload), max_payload_bytes=1_000_000)


@pytest.mark.parametrize("payload", ["[]", "null", "1", '"{}"', "true"])
def test_a_payload_is_an_object(payload: str) -> None:
    with pytest.raises(ValidationError, match="must be a JSON object"):
        submit(with_payload(payload))


@pytest.mark.parametrize("kind", ["t", "thumbnail"])
def test_no_depth_of_nesting_gets_past_acceptance_and_then_breaks(kind: str) -> None:
    """Around the decoder's limit each later reader of the payload meets it at another depth."""
    accepted, refused = 0, set()
    for depth in range(1, 1100):
        text = f'{{"type": "{kind}", "payload": {{"width": 1, "nested": {nested(depth)}}}}}'
        try:
            request = read(text)
        except RecursionError:
            continue
        try:
            accept(request, HANDLERS, msgspec.structs.replace(DEFAULTS, max_payload_bytes=10_000))
            accepted += 1
        except ValidationError as error:
            refused.add(error.details[0].field)
    assert accepted > 200
    assert refused <= {"payload"}


def test_a_payload_may_fill_its_limit_and_not_pass_it() -> None:
    fits = '{"a":"' + "x" * 992 + '"}'
    assert len(submit(with_payload(fits)).payload) == 1000
    with pytest.raises(PayloadTooLargeError, match=r"1,001 bytes; at most 1,000") as caught:
        accept(read(with_payload(fits.replace("x", "xx", 1))), HANDLERS, DEFAULTS, index=4)
    assert caught.value.details[0].index == 4


def test_a_payload_that_does_not_fit_its_handler_is_refused() -> None:
    for payload in ('{"width": "1"}', "{}", '{"width": 1, "height": 2}'):
        with pytest.raises(ValidationError, match="does not fit the type's input"):
            submit(f'{{"type": "thumbnail", "payload": {payload}}}')


@pytest.mark.parametrize(
    "failure", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit]
)
def test_whatever_an_input_type_raises_is_a_fault_of_the_payload(
    failure: type[BaseException],
) -> None:
    class Refused(msgspec.Struct):
        def __post_init__(self) -> None:
            raise failure

    def run(job: Any, ctx: JobContext) -> None: ...

    run.__annotations__["job"] = Refused
    handlers = Handlers([handler("refused")(run)])
    with pytest.raises(ValidationError, match="does not fit the type's input"):
        accept(read('{"type": "refused"}'), handlers, DEFAULTS)


def test_a_fault_names_its_field_and_its_place_in_the_batch() -> None:
    with pytest.raises(ValidationError) as caught:
        accept(read('{"type": "thumbnail"}'), HANDLERS, DEFAULTS, index=7)
    (detail,) = caught.value.details
    assert isinstance(detail, FieldError)
    assert (detail.field, detail.index) == ("payload", 7)
    assert str(caught.value).startswith("jobs[7].payload ")


@pytest.mark.parametrize(
    "fields",
    [
        '"unknown": 1',
        '"priority": "normal"',
        '"priority": "HIGH"',
        '"max_attempts": 0',
        '"max_attempts": 101',
        '"max_attempts": 1.5',
        '"timeout_ms": 0',
        '"timeout_ms": 86400001',
        '"backoff": {"base_ms": 0}',
        '"backoff": {"jitter": 1.1}',
        '"backoff": {"strategy": "linear"}',
        '"backoff": {"unknown": 1}',
        '"run_at": "2026-01-01T00:00:00"',
        '"run_at": "tomorrow"',
        '"tags": ["a", ""]',
        '"tags": "a"',
        f'"tags": {msgspec.json.encode(["a"] * 21).decode()}',
        f'"tags": ["{"a" * 51}"]',
        '"idempotency_key": ""',
        f'"idempotency_key": "{"k" * 201}"',
        f'"queue": "{"q" * 101}"',
    ],
)
def test_unknown_fields_and_values_are_refused(fields: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(f'{{"type": "t", {fields}}}')


@pytest.mark.parametrize("field", ["type", "queue", "idempotency_key", "tags"])
@pytest.mark.parametrize(
    "name", ["", "a\\n", "\\na", "a\\u0000", "a\\tb", "a\\u007f", "a\\r", "\\ud800"]
)
def test_a_name_is_not_empty_and_has_no_control_characters(field: str, name: str) -> None:
    value = f'["{name}"]' if field == "tags" else f'"{name}"'
    start = "" if field == "type" else '"type": "t", '
    with pytest.raises(msgspec.DecodeError):
        read(f'{{{start}"{field}": {value}}}')


@pytest.mark.parametrize("name", ["a", "a b", "\u00e9\U0001f600", "x" * 100, "a/b:c%", "\\\\n"])
def test_any_printable_name_will_do(name: str) -> None:
    assert submit(f'{{"type": "t", "queue": "{name}"}}').queue == name.replace("\\\\", "\\")


@pytest.mark.parametrize(
    "run_at",
    [
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_a_time_that_the_store_could_not_hold_in_utc_is_refused(run_at: str) -> None:
    with pytest.raises(ValidationError, match="run_at must be between 1970 and 2200"):
        submit(f'{{"type": "t", "run_at": "{run_at}"}}')


def test_a_time_keeps_its_instant() -> None:
    job = submit('{"type": "t", "run_at": "2026-03-01T12:00:00.123456+02:00"}')
    assert job.run_at == datetime(2026, 3, 1, 10, 0, 0, 123456, tzinfo=UTC)


def test_a_request_hash_does_not_hang_on_the_fields_order_space_or_key() -> None:
    one = read('{"type": "t", "queue": "q", "payload": {"a": [1, 2]}, "idempotency_key": "k"}')
    two = read('{"payload":{"a":[1,2]},"queue":"q","type":"t"}')
    assert request_hash(one) == request_hash(two)
    # Hashes are stored: another release must come to the same.
    canonical = b'{"type":"t","payload":{"a":[1,2]},"queue":"q"}'
    assert request_hash(one) == hashlib.sha256(canonical).digest()


def test_a_request_hash_tells_different_requests_apart() -> None:
    texts = [
        '{"type": "t"}',
        '{"type": "u"}',
        '{"type": "t", "payload": {}}',
        '{"type": "t", "payload": {"a": 1.10}}',
        '{"type": "t", "payload": {"a": 1.1}}',
        '{"type": "t", "payload": {"a": "1.1"}}',
        '{"type": "t", "payload": {"a": 12345678901234567890123}}',
        '{"type": "t", "payload": {"a": 12345678901234567890124}}',
        '{"type": "t", "payload": {"a": " "}}',
        '{"type": "t", "payload": {"a": ""}}',
        '{"type": "t", "priority": "medium"}',
        '{"type": "t", "max_attempts": 3}',
    ]
    assert len({request_hash(read(text)) for text in texts}) == len(texts)
