"""Random histories of a real store beside the rules of `internal.domain.fairness`."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import datetime
from functools import partial
from math import isclose
from random import Random
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from internal.domain.accounts import Actor
from internal.domain.fairness import Queue, User, averaged, claim, paid, turned_to, used, woken
from internal.domain.jobs import Outcome, Settlement, Status, rank
from internal.domain.ports.work import ClaimedJob, Finish, Lease
from tests.support.store import AGING, ROUTES, Store, a_job

USERS = """
    select user_id as id, virtual_time, weight, awake, drained from tenant
"""
QUEUES = """
    select id, user_id, queue, turn, cost, awake from flow
"""
READY = "select flow_id, job_id from ready order by flow_id, rank, job_id"
# A lease keeps its charge in four bytes.
near = partial(isclose, rel_tol=1e-5, abs_tol=1e-5)


class FairHistory:
    """`step` does one random thing to the store and to the rules and compares the two."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._random = Random(seed)  # noqa: S311 - a seed makes the choices again
        self._actors: dict[UUID, Actor] = {}
        self._users: dict[UUID, User] = {}
        self._awake: set[Any] = set()
        self._ids: dict[tuple[UUID, str], int] = {}
        self._ranks: dict[UUID, datetime] = {}
        self._held: list[tuple[ClaimedJob, int, float]] = []
        self._notes: list[tuple[UUID, int, float, float, int]] = []
        self._worker = ""
        self._deeds = (
            (self._submit, 10),
            (self._claim, 12),
            (self._finish, 10),
            (self._hand_back, 2),
            (self._cancel, 2),
            (self._fold, 6),
            (self._sleep, 2),
        )

    async def begin(self, users: int) -> None:
        self._worker = await self._store.a_worker()
        for _ in range(users):
            actor = await self._store.a_user()
            weight = self._random.choice([0.5, 1.0, 1.0, 3.0])
            query = "update tenant set weight = $2 where user_id = $1"
            await self._store.execute(query, actor.user_id, weight)
            self._actors[actor.user_id] = actor
            self._users[actor.user_id] = User(actor.user_id, (), weight=weight, drained=True)

    async def step(self) -> None:
        deeds, weights = zip(*self._deeds, strict=True)
        (deed,) = self._random.choices(deeds, weights)
        await deed()
        await self._compare(deed.__name__)
        await self._part_ties()

    async def _submit(self) -> None:
        actor = self._random.choice(list(self._actors.values()))
        jobs = [
            a_job(
                index,
                queue=self._random.choice("abcde"),
                priority=self._random.choice(["high", "medium", "low"]),
            )
            for index in range(self._random.choice([1, 2, 10, 60]))
        ]
        submitted = await self._store.submissions.submit(actor, jobs)
        async with self._store.database.hot() as connection:
            for row in await connection.fetch(QUEUES):
                self._ids[row["user_id"], row["queue"]] = row["id"]
        arrived = defaultdict(list)
        for job, kept in zip(jobs, submitted, strict=True):
            self._ranks[job.id] = rank(kept.run_at, job.priority, AGING)
            arrived[self._ids[actor.user_id, job.queue]].append(job.id)
        self._arrive(actor.user_id, arrived)

    def _arrive(self, user_id: UUID, arrived: dict[int, list[UUID]]) -> None:
        user = self._users[user_id]
        if arrived.keys() - self._awake and user_id not in self._awake:
            user = woken(user, self._in_service())
        self._awake.add(user_id)
        queues = {queue.id: queue for queue in user.queues}
        awake = [queue for queue in user.queues if queue.id in self._awake]
        for queue_id, jobs in arrived.items():
            queue = queues.get(queue_id, Queue(queue_id))
            if queue_id not in self._awake:
                queue = turned_to(queue, awake)
            together = sorted((*queue.jobs, *jobs), key=lambda job: (self._ranks[job], job))
            queues[queue_id] = replace(queue, jobs=tuple(together))
        self._awake |= arrived.keys()
        user = self._users[user_id] = replace(user, queues=tuple(queues.values()))
        if user.drained:
            self._users[user_id] = woken(user, self._in_service())

    def _in_service(self) -> float:
        awake = [user for user in self._users.values() if user.id in self._awake]
        served = [user.virtual_time for user in awake if not user.drained]
        every = [user.virtual_time for user in awake or self._users.values()]
        return min(served) if served else max(every)

    async def _claim(self) -> None:
        limit = self._random.choice([1, 2, 7, 30, 200])
        starts, after = claim(self._users.values(), limit)
        claimed = await self._store.work.claim(self._worker, ROUTES, limit)
        assert [job.tag for job in claimed] == sorted(job.tag for job in claimed)
        chosen = {start.job: start for start in starts}
        assert {job.id for job in claimed} == chosen.keys()
        for job in claimed:
            start = chosen[job.id]
            assert near(job.tag, start.tag)
            self._held.append((job, start.queue, start.cost))
        self._users = {user.id: user for user in after}

    async def _finish(self) -> None:
        ends = []
        outcome = self._random.choice([Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED])
        status = Status.SUCCEEDED if outcome is Outcome.SUCCEEDED else Status.FAILED
        for job, queue_id, cost in self._some_held():
            ran = self._random.choice([0.0, 0.0004, 0.02, 0.5, 30.0]) * self._random.random()
            settlement = Settlement(status, job.attempts)
            lease = Lease(job.id, job.token)
            ended = time.monotonic() - 0.01 * self._random.random()
            ends.append(Finish(lease, outcome, settlement, 1000 * ran, ended))
            self._notes.append((job.user_id, queue_id, used(ran), cost, 1))
        assert await self._store.work.finish(ends) == set()

    async def _hand_back(self) -> None:
        back: dict[UUID, dict[int, list[UUID]]] = defaultdict(lambda: defaultdict(list))
        given = self._some_held()
        await self._store.work.hand_back([(Lease(j.id, j.token), j.attempts) for j, _, _ in given])
        for job, queue_id, cost in given:
            self._notes.append((job.user_id, queue_id, 0.0, cost, 0))
            back[job.user_id][queue_id].append(job.id)
        # The one trigger of the statement wakes all users at once, from what was before.
        for user_id, arrived in back.items():
            self._arrive(user_id, arrived)

    def _some_held(self) -> list[tuple[ClaimedJob, int, float]]:
        if not self._held:
            return []
        user_id = self._random.choice(self._held)[0].user_id
        some = [each for each in self._held if each[0].user_id == user_id]
        some = self._random.sample(some, self._random.randint(1, len(some)))
        self._held = [each for each in self._held if each not in some]
        return some

    async def _cancel(self) -> None:
        waiting = [(user, queue) for user in self._users.values() for queue in user.queues]
        waiting = [each for each in waiting if each[1].jobs]
        if waiting:
            user, queue = self._random.choice(waiting)
            job = self._random.choice(queue.jobs)
            await self._store.commands.cancel(self._actors[user.id], job)
            fewer = replace(queue, jobs=tuple(each for each in queue.jobs if each != job))
            queues = tuple(fewer if each is queue else each for each in user.queues)
            self._users[user.id] = replace(user, queues=queues)

    async def _fold(self) -> None:
        await self._store.upkeep.fold_counters(1000)
        by_queue: dict[int, list[float]] = defaultdict(lambda: [0.0, 0])
        for user_id, queue_id, ran, charged, jobs in self._notes:
            self._users[user_id] = paid(self._users[user_id], ran, charged)
            by_queue[queue_id][0] += ran
            by_queue[queue_id][1] += jobs
        for user in self._users.values():
            queues = tuple(
                averaged(each, by_queue[each.id][0], int(by_queue[each.id][1]))
                if by_queue[each.id][1]
                else each
                for each in user.queues
            )
            self._users[user.id] = replace(user, queues=queues)
        self._notes.clear()

    async def _sleep(self) -> None:
        await self._store.upkeep.tend_flows(1000)
        for user in self._users.values():
            self._awake -= {queue.id for queue in user.queues if not queue.jobs}
            if not any(queue.jobs for queue in user.queues):
                self._awake.discard(user.id)
                self._users[user.id] = replace(user, drained=True)

    async def _compare(self, deed: str) -> None:
        """The store is as the rules say; from its rounding both go on."""
        async with self._store.database.hot() as connection:
            users = {row["id"]: row for row in await connection.fetch(USERS)}
            queues = {row["id"]: row for row in await connection.fetch(QUEUES)}
            ready = defaultdict(list)
            for row in await connection.fetch(READY):
                ready[row["flow_id"]].append(row["job_id"])
        for user in self._users.values():
            row = users[user.id]
            assert (row["awake"], row["drained"]) == (user.id in self._awake, user.drained), deed
            assert near(row["virtual_time"], user.virtual_time), deed
            for each in user.queues:
                found = queues[each.id]
                assert list(each.jobs) == ready[each.id], deed
                assert (found["awake"], found["turn"]) == (each.id in self._awake, each.turn), deed
                assert near(found["cost"], each.cost), deed
            exact = tuple(replace(each, cost=queues[each.id]["cost"]) for each in user.queues)
            now = row["virtual_time"]
            self._users[user.id] = replace(user, virtual_time=now, queues=exact)

    async def _part_ties(self) -> None:
        """Which of two users at one virtual time is first is the planner's choice."""
        seen: set[float] = set()
        for user in self._users.values():
            if user.virtual_time in seen:
                later = user.virtual_time + self._random.random() / 100
                query = "update tenant set virtual_time = $2 where user_id = $1"
                await self._store.execute(query, user.id, later)
                self._users[user.id] = replace(user, virtual_time=later)
            seen.add(self._users[user.id].virtual_time)
