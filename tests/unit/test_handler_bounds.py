"""What a handler gives is bounded when it gives it."""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.domain.jobs import Outcome, Status
from internal.domain.outcomes import LONGEST_DELAY, SHORTEST_SNOOZE, Retry, Snooze
from tests.support.work import a_claimed_job, end_of

Payload = dict[str, Any]


class OwnRetry(Retry):
    def __init__(self, after: Any) -> None:
        self.after = after


class OwnSnooze(Snooze):
    def __init__(self, for_: Any) -> None:
        self.for_ = for_


class BareSnooze(Snooze):
    def __init__(self) -> None: ...


@pytest.mark.parametrize(
    ("outcome", "delay"),
    [
        (OwnRetry(timedelta.max), LONGEST_DELAY),
        (OwnRetry(timedelta.min), timedelta(0)),
        (OwnRetry("soon"), timedelta(milliseconds=1)),
        (OwnSnooze(timedelta.max), LONGEST_DELAY),
        (OwnSnooze(timedelta.min), SHORTEST_SNOOZE),
        (OwnSnooze(None), SHORTEST_SNOOZE),
        (BareSnooze(), SHORTEST_SNOOZE),
        (Snooze("0s"), SHORTEST_SNOOZE),
        (Snooze("999ms"), SHORTEST_SNOOZE),
        (Snooze("2s"), timedelta(seconds=2)),
    ],
    ids=lambda each: f"{type(each).__name__} {vars(each)}" if isinstance(each, Exception) else "",
)
async def test_a_delay_is_one_that_a_job_can_have_whatever_a_subclass_says(
    outcome: Exception, delay: timedelta
) -> None:
    @handler("delayed")
    async def delayed(job: Payload, ctx: JobContext) -> None:
        raise outcome

    end = await end_of(a_claimed_job("delayed"), delayed)

    assert (end.settlement.status, end.settlement.delay) == (Status.SCHEDULED, delay)


class Unsayable:
    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


async def test_what_a_handler_reports_and_logs_is_bounded_where_it_gives_it() -> None:
    @handler("talks")
    async def talks(job: Payload, ctx: JobContext) -> None:
        for line in (Unsayable(), "x" * 10_000_000, "nul \0"):
            ctx.log(line)
        ctx.progress(7, Unsayable())  # type: ignore[arg-type]
        ctx.progress(10**400, "n" * 10_000_000)
        for share in (math.nan, "x", None, Unsayable()):
            try:
                ctx.progress(share)  # type: ignore[arg-type]
            except (TypeError, ValueError) as error:
                ctx.log(error)

    end = await end_of(a_claimed_job("talks"), talks)

    assert (end.outcome, end.result) == (Outcome.SUCCEEDED, "null")
    assert end.progress is not None
    assert (end.progress.share, len(end.progress.note or "")) == (1.0, 200)
    unsayable, long, nul, *refused = [line.text for line in end.lines]
    assert unsayable == "<Unsayable without a text: SystemExit>"
    assert (len(long), nul) == (2_000, "nul \ufffd")
    assert [each.partition(" 1, ")[2] for each in refused] == [
        "not NaN",
        "not of type str",
        "not of type NoneType",
        "not of type Unsayable",
    ]


async def test_a_result_that_is_no_json_fails_once_and_for_good() -> None:
    @handler("score")
    async def score(job: Payload, ctx: JobContext) -> dict[str, float]:
        return {"score": math.nan}

    end = await end_of(a_claimed_job("score"), score)

    assert (end.settlement.status, end.settlement.attempts) == (Status.FAILED, 1)
    assert "$.score is nan" in (end.error or "")


@pytest.mark.parametrize("max_attempts", [1, 3])
async def test_an_attempt_that_failed_leaves_a_line_with_its_ids(
    caplog: pytest.LogCaptureFixture, max_attempts: int
) -> None:
    @handler("fails")
    async def fails(job: Payload, ctx: JobContext) -> None:
        raise KeyError("x" * 10_000_000)

    job = msgspec.structs.replace(a_claimed_job("fails"), max_attempts=max_attempts)
    with caplog.at_level(logging.INFO):
        end = await end_of(job, fails)

    (line,) = [each for each in caplog.records if each.name.endswith("ends")]
    assert line.message == ("a job failed for good" if max_attempts == 1 else "an attempt failed")
    assert (line.job_id, line.user_id) == (str(job.id), str(job.user_id))  # type: ignore[attr-defined]
    assert (line.attempt, line.outcome) == (1, "failed")  # type: ignore[attr-defined]
    assert len(line.error) == 2_000  # type: ignore[attr-defined]
    assert line.exc_info is None
    assert (end.error or "").endswith(".fails")
