"""A process that keeps one user's queue filled, or feeds it at a steady pace."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from os import environ
from typing import Final

import msgspec
import uvloop

from benchmarks.ours.store import jobs_in, opened
from internal.bootstrap.process import follow_parent
from internal.domain.accounts import Actor
from internal.domain.jobs import Status
from internal.domain.submission import Submission
from internal.services.jobs import Jobs

PAUSE_S: Final = 0.01
LARGEST: Final = 1_000


class Feed(msgspec.Struct, frozen=True):
    """Whose jobs to submit: so many a second, or as many as keep that number waiting."""

    actor: Actor
    request: Submission
    waiting: int = 0
    per_second: int = 0


async def keep(jobs: Jobs, feed: Feed) -> None:
    """Top the queue up, again and again."""
    while True:
        waiting = (await jobs.stats(feed.actor)).by_status[Status.QUEUED]
        await _submit(jobs, feed, feed.waiting - waiting)
        await asyncio.sleep(PAUSE_S)


async def pace(jobs: Jobs, feed: Feed) -> None:
    """Submit what is due by the clock, and catch up after a delay."""
    clock = asyncio.get_running_loop().time
    began, submitted = clock(), 0
    while True:
        due = int(feed.per_second * (clock() - began)) - submitted
        submitted += await _submit(jobs, feed, due)
        await asyncio.sleep(PAUSE_S)


async def _submit(jobs: Jobs, feed: Feed, missing: int) -> int:
    size = max(0, min(missing, LARGEST))
    if size:
        await jobs.submit_batch(feed.actor, [feed.request] * size)
    return size


async def _main(feed: Feed) -> None:
    async with opened(environ) as store:
        await (pace if feed.per_second else keep)(jobs_in(store), feed)


if __name__ == "__main__":
    follow_parent(timedelta(0))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(msgspec.json.decode(sys.argv[1], type=Feed)))
