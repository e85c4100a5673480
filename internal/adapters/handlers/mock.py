"""The `mock` job type: a job whose run time, failures and result its submitter writes down."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from internal.adapters.handlers.cancellation import unless_canceled
from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.domain.outcomes import Retry

MAX_SLEEP_MS: Final = 24 * 3600 * 1000
MAX_FAILURES: Final = 100


class MockInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a mock job behaves."""

    sleep_ms: Annotated[
        int, Meta(ge=0, le=MAX_SLEEP_MS, description="How long each attempt sleeps first")
    ] = 0
    fail_times: Annotated[
        int, Meta(ge=0, le=MAX_FAILURES, description="How many of the first attempts fail")
    ] = 0
    result: Annotated[Raw, Meta(description="Given back byte for byte")] | UnsetType = UNSET


@handler("mock")
async def mock(job: MockInput, ctx: JobContext) -> Raw | None:
    """Sleep, fail the first attempts, then return the given result. For trying things out."""
    if job.sleep_ms:
        await unless_canceled(ctx, asyncio.sleep(job.sleep_ms / 1000))
    if ctx.attempt <= job.fail_times:
        raise Retry(f"mock failure {ctx.attempt} of {job.fail_times}")
    return None if isinstance(job.result, UnsetType) else job.result
