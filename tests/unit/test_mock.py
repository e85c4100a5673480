"""The `mock` job type."""

import asyncio

import msgspec
import pytest

from internal.adapters.handlers.cancellation import CanceledError
from internal.adapters.handlers.mock import MockInput, mock
from internal.domain.outcomes import Retry
from tests.support.contexts import AttemptContext


def an_input(text: str) -> MockInput:
    return msgspec.json.decode(text, type=MockInput)


async def test_the_result_comes_back_byte_for_byte() -> None:
    result = '{"a": 1.10,  "b": [12345678901234567890123, "\\u00e9"]}'
    returned = await mock.function(an_input(f'{{"result": {result}}}'), AttemptContext())
    assert msgspec.json.encode(returned) == result.encode()


async def test_without_a_result_it_is_null() -> None:
    assert msgspec.json.encode(await mock.function(an_input("{}"), AttemptContext())) == b"null"


async def test_the_first_starts_fail_and_the_next_succeeds() -> None:
    job = an_input('{"fail_times": 2, "result": true}')
    for attempt in (1, 2):
        with pytest.raises(Retry, match=f"mock failure {attempt} of 2"):
            await mock.function(job, AttemptContext(attempt=attempt))
    assert bytes(await mock.function(job, AttemptContext(attempt=3))) == b"true"


async def test_a_sleeping_mock_ends_soon_after_a_cancel() -> None:
    ctx = AttemptContext()
    task = asyncio.ensure_future(mock.function(an_input('{"sleep_ms": 86400000}'), ctx))
    await asyncio.sleep(0)
    assert not task.done()
    ctx.canceled = True
    with pytest.raises(CanceledError):
        await task


async def test_a_stopped_worker_stops_the_sleep() -> None:
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(
        mock.function(an_input('{"sleep_ms": 86400000}'), AttemptContext())
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    "text",
    [
        '{"sleep": 1}',
        '{"sleep_ms": -1}',
        '{"sleep_ms": 1.5}',
        '{"sleep_ms": 86400001}',
        '{"fail_times": 101}',
        '{"fail_times": "1"}',
    ],
)
def test_unknown_fields_and_wild_numbers_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        an_input(text)


def test_the_input_documents_itself() -> None:
    properties = msgspec.json.schema(MockInput)["$defs"]["MockInput"]["properties"]
    assert set(properties) == {"sleep_ms", "fail_times", "result"}
