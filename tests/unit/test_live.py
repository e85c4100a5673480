from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from internal.domain.accounts import Actor
from internal.domain.ids import new_id
from internal.domain.jobs import JobSummary
from internal.domain.ports.feed import Change, Kind
from internal.services.live import Live, Signal
from tests.support.summaries import a_summary


class Story:
    """Feed and Summaries of jobs that all succeeded."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.asked: list[int] = []

    def add(self, actor: Actor, jobs: int, kind: Kind = Kind.CHANGED) -> None:
        ids = tuple(new_id() for _ in range(jobs))
        self.changes.append(Change(len(self.changes) + 1, actor.user_id, kind, ids))

    async def newest(self) -> int:
        return 0

    async def after(self, position: int, limit: int) -> list[Change]:
        return self.changes[position : position + limit]

    async def summaries(
        self, owners: Sequence[UUID], job_ids: Sequence[UUID]
    ) -> dict[UUID, list[JobSummary]]:
        self.asked.append(len(job_ids))
        owner = {each: change.user_id for change in self.changes for each in change.ids}
        found: dict[UUID, list[JobSummary]] = {}
        for job_id in job_ids:
            found.setdefault(owner[job_id], []).append(a_summary(job_id))
        return found


def an_actor() -> Actor:
    return Actor(uuid4(), uuid4(), datetime.now(UTC) + timedelta(hours=1))


async def test_a_flood_of_one_user_is_told_as_a_resync_and_not_looked_up() -> None:
    story, flooding, quiet = Story(), an_actor(), an_actor()
    live = Live(story, story)
    flooded, watcher = live.watch(flooding), live.watch(quiet)
    await live.run_once()
    await flooded.next()
    await watcher.next()
    for _ in range(3):
        story.add(flooding, 400)
    story.add(quiet, 1)

    await live.run_once()

    assert await flooded.next() == [Signal.RESYNC]
    assert len(await watcher.next()) == 1
    assert story.asked == [1]


async def test_many_users_changes_are_looked_up_in_short_statements() -> None:
    story, actors = Story(), [an_actor() for _ in range(5)]
    live = Live(story, story)
    watchers = [live.watch(actor) for actor in actors]
    await live.run_once()
    for watcher in watchers:
        await watcher.next()
    for actor in actors:
        story.add(actor, 500)

    await live.run_once()

    assert [len(await watcher.next()) for watcher in watchers] == [500] * 5
    assert story.asked == [1000, 1000, 500]
