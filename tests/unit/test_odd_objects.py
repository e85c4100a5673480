"""Objects of handlers that lie, or fail when they are looked at: each attempt ends all the same."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.domain.jobs import Outcome, Status
from internal.domain.outcomes import Fail, Retry, Snooze
from internal.domain.ports.work import Finish
from internal.services.worker import executor
from internal.services.worker.ends import End
from internal.services.worker.finishing import finish_of
from internal.services.worker.running import Running
from tests.support.work import a_claimed_job, end_of

Payload = dict[str, Any]


def refuse(*_: object) -> NoReturn:
    raise SystemExit("not to be looked at")


class ClasslessError(Exception):
    __class__ = property(refuse)


class SlowError(TimeoutError):
    __class__ = property(refuse)


class ClosedError(Exception):
    __getattribute__ = refuse


class LyingError(Exception):
    __class__ = Retry  # type: ignore[assignment]


class NoDelayRetry(Retry):
    after = property(refuse)

    def __init__(self) -> None: ...


class ClosedFail(Fail):
    __getattribute__ = refuse


class NoDelaySnooze(Snooze):
    for_ = property(refuse)

    def __init__(self) -> None: ...


class Classless:
    __class__ = property(refuse)


class Delay(timedelta):
    __lt__ = __gt__ = __le__ = __ge__ = refuse
    days = property(refuse)
    total_seconds = refuse


class OddSnooze(Snooze):
    def __init__(self) -> None:
        self.for_ = Delay(seconds=2)


class OddRetry(Retry):
    def __init__(self) -> None:
        self.after = Delay(seconds=2)


RAISED: list[Callable[[], BaseException]] = [
    lambda: ClasslessError("x"),
    lambda: SlowError("x"),
    lambda: ClosedError("x"),
    lambda: LyingError("x"),
    NoDelayRetry,
    NoDelaySnooze,
    lambda: ClosedFail("x"),
]


@pytest.mark.parametrize("make", RAISED, ids=lambda make: kind(make()))
@pytest.mark.parametrize("type_", ["async", "sync"])
async def test_an_exception_that_cannot_be_read_fails_its_attempt_by_its_name(
    make: Callable[[], BaseException], type_: str
) -> None:
    @handler("async")
    async def on_loop(job: Payload, ctx: JobContext) -> None:
        raise make()

    @handler("sync")
    def threaded(job: Payload, ctx: JobContext) -> None:
        raise make()

    name = kind(make())
    end = await end_of(a_claimed_job(type_), on_loop, threaded)

    assert (end.outcome, end.settlement.attempts) == (Outcome.FAILED, 1)
    assert (end.error or "").startswith((name, "x"))


@pytest.mark.parametrize("make", [Classless, lambda: [Classless()], lambda: {"a": Classless()}])
async def test_a_result_that_cannot_be_looked_at_fails_its_attempt(make: Callable[[], Any]) -> None:
    @handler("odd")
    async def odd(job: Payload, ctx: JobContext) -> Any:
        return make()

    end = await end_of(a_claimed_job("odd"), odd)

    assert (end.outcome, end.settlement.attempts) == (Outcome.FAILED, 1)
    assert end.error


@pytest.mark.parametrize("make", [OddSnooze, OddRetry])
async def test_a_delay_counts_by_its_length_whatever_its_class_says(
    make: Callable[[], Exception],
) -> None:
    @handler("odd delay")
    async def odd_delay(job: Payload, ctx: JobContext) -> None:
        raise make()

    end = await end_of(a_claimed_job("odd delay"), odd_delay)

    assert (end.settlement.status, type(end.settlement.delay)) == (Status.SCHEDULED, timedelta)
    assert end.settlement.delay == timedelta(seconds=2)


@pytest.mark.parametrize(
    "name",
    ["lines", "report", "started", "job", "deadline", "thread", "canceled", "log", "own_notes"],
)
async def test_a_context_takes_no_attributes(name: str) -> None:
    @handler("stores")
    async def stores(job: Payload, ctx: JobContext) -> None:
        setattr(ctx, name, ["a"])

    @handler("forgets")
    async def forgets(job: Payload, ctx: JobContext) -> None:
        delattr(ctx, name)

    for declared in (stores, forgets):
        end = await end_of(a_claimed_job(declared.type), declared)

        assert (end.outcome, end.settlement.attempts) == (Outcome.FAILED, 1)
        assert (end.error or "").startswith("AttributeError: ")


async def test_a_context_names_its_job_without_the_payload() -> None:
    said: list[str] = []

    @handler("says")
    async def says(job: Payload, ctx: JobContext) -> None:
        said.extend((repr(ctx), str(copy.copy(ctx))))
        assert {ctx: 1}[ctx] == 1

    job = a_claimed_job("says", payload='{"secret": 1}')
    assert (await end_of(job, says)).outcome is Outcome.SUCCEEDED

    assert said == [f"<attempt 1 of job {job.id}>"] * 2


async def test_an_attempt_ends_even_where_its_end_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @handler("plain")
    async def plain(job: Payload, ctx: JobContext) -> int:
        return 1

    ways: Iterator[Callable[[Running, End], Finish]] = iter([refuse_plainly, finish_of])

    def one_way(running: Running, end: End) -> Finish:
        return next(ways)(running, end)

    monkeypatch.setattr(executor, "finish_of", one_way)
    end = await end_of(a_claimed_job("plain"), plain)

    assert (end.outcome, end.settlement.attempts) == (Outcome.FAILED, 1)
    assert [each.levelname for each in caplog.records if each.exc_info] == ["ERROR"]


def refuse_plainly(*_: object) -> NoReturn:
    raise LookupError("a fault of the worker")


def kind(thing: object) -> str:
    return type(thing).__name__
