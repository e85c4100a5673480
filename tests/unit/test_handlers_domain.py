"""Declaring handlers and looking them up."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from internal.domain.handlers import Handlers, JobContext
from internal.domain.outcomes import LONGEST_DELAY, Fail, Retry, Snooze
from windlass import handler


class Thumbnail(msgspec.Struct):
    width: int


async def thumbnail(job: Thumbnail, ctx: JobContext) -> int:
    """Make an image small."""
    return job.width + ctx.attempt


def sync(job: dict[str, Any], ctx: JobContext) -> None: ...


def bare(job, ctx) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001


def test_a_declaration_takes_its_input_and_words_from_the_function() -> None:
    declared = handler("thumbnail", timeout="30s", max_attempts=5, pool="images")(thumbnail)
    assert declared.type == "thumbnail"
    assert declared.function is thumbnail
    assert declared.input.type is Thumbnail
    assert declared.description == "Make an image small."
    assert (declared.timeout_ms, declared.max_attempts, declared.pool) == (30_000, 5, "images")


def test_what_a_declaration_leaves_out_is_left_to_the_settings() -> None:
    declared = handler("thumbnail")(thumbnail)
    assert (declared.timeout_ms, declared.max_attempts, declared.pool) == (None, None, "default")


def test_async_and_sync_handlers_are_told_apart() -> None:
    assert handler("a")(thumbnail).is_async
    assert not handler("b")(sync).is_async


@pytest.mark.parametrize("function", [sync, bare])
def test_a_dict_or_no_type_takes_any_object(function: Any) -> None:
    declared = handler("any")(function)
    assert declared.input.decode('{"a": [1]}') == {"a": [1]}
    with pytest.raises(msgspec.ValidationError):
        declared.input.decode("[]")


def test_a_timeout_that_is_no_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="30s"):
        handler("thumbnail", timeout="30")(thumbnail)


@pytest.mark.parametrize(
    "options", [{"timeout": "25h"}, {"timeout": "0s"}, {"max_attempts": 0}, {"max_attempts": 101}]
)
def test_what_no_job_could_have_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'thumbnail' must be 1"):
        handler("thumbnail", **options)


def test_one_type_has_one_handler() -> None:
    first, second = handler("same")(thumbnail), handler("same")(sync)
    with pytest.raises(ValueError, match="'same' has two handlers"):
        Handlers([first, second])
    assert list(Handlers([first, first])) == ["same"]


def test_known_types_go_to_their_pool_and_the_others_to_whoever_pulls_them() -> None:
    handlers = Handlers([handler("thumbnail", pool="images")(thumbnail), handler("mail")(sync)])
    assert handlers.route_of("thumbnail") == "images"
    assert handlers.route_of("mail") == "default"
    assert handlers.route_of("other") == "pull:other"
    assert handlers.routes() == ("default", "images", "pull:mail", "pull:thumbnail")


def test_a_worker_serves_the_route_of_every_job_it_has_a_handler_for() -> None:
    before, after = Handlers([]), Handlers([handler("mail")(sync)])
    assert before.routes() == ()
    assert {before.route_of("mail"), after.route_of("mail")} <= set(after.routes())


def test_outcomes_read_durations_as_people_write_them() -> None:
    assert Retry("busy", after="90s").after == timedelta(seconds=90)
    assert Retry(after=timedelta(hours=1)).after == timedelta(hours=1)
    assert Retry().after is None
    assert Snooze("5m").for_ == timedelta(minutes=5)
    assert str(Fail("no such image")) == "no such image"


@pytest.mark.parametrize("outcome", [lambda value: Retry(after=value), Snooze])
@pytest.mark.parametrize(
    "delay",
    [
        "9999999d",
        "999999999d",
        "3651d",
        timedelta.max,
        timedelta.min,
        timedelta(seconds=-1),
        timedelta(days=3650, microseconds=1),
    ],
    ids=str,
)
def test_a_delay_that_no_job_can_have_is_refused_where_it_is_given(
    outcome: Callable[[Any], Exception], delay: Any
) -> None:
    with pytest.raises(ValueError, match="a delay must be from 0s to 3650d, not "):
        outcome(delay)


@pytest.mark.parametrize("outcome", [lambda value: Retry(after=value), Snooze])
@pytest.mark.parametrize("delay", [math.nan, math.inf, True, b"30s", [30]], ids=repr)
def test_what_is_no_duration_is_refused_where_it_is_given(
    outcome: Callable[[Any], Exception], delay: Any
) -> None:
    with pytest.raises(TypeError, match="'30s'"):
        outcome(delay)


def test_the_longest_and_the_shortest_delay_are_taken() -> None:
    assert Retry(after="3650d").after == LONGEST_DELAY
    assert Snooze(timedelta(0)).for_ == timedelta(0)


@pytest.mark.parametrize("outcome", [lambda value: Retry(after=value), Snooze])
def test_a_duration_has_a_unit(outcome: Callable[[Any], Exception]) -> None:
    with pytest.raises(TypeError, match="'30s'"):
        outcome(30)
