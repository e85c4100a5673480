"""Random histories of one store: several users and workers, several things at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.errors import IdempotencyConflictError, InvalidStateError, NotFoundError
from internal.domain.jobs import Outcome, settle
from internal.domain.ports.work import ClaimedJob, Finish, Lease
from internal.domain.submission import NewJob
from tests.support.store import ROUTES, TTL, Store, a_job, id_of_day
from tests.support.truth import Truth

OUTCOMES = tuple(each for each in Outcome if each is not Outcome.RUNNING)
OLD_DAYS = 9


class History:
    """`step` does up to `at_once` random things together and then looks at everything."""

    def __init__(self, store: Store, seed: int, *, at_once: int = 4) -> None:
        self._store = store
        self._random = Random(seed)  # noqa: S311 - a seed makes the choices again
        self._at_once = at_once
        self._truth = Truth(store)
        self._actors: list[Actor] = []
        self._workers: list[str] = []
        self._jobs: list[UUID] = []
        self._held: dict[UUID, ClaimedJob] = {}
        self._old: list[ClaimedJob] = []
        self._tokens: dict[UUID, int] = {}
        self._retried: set[UUID] = set()
        self._deeds: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._submit, 8),
            (self._claim, 10),
            (self._finish, 10),
            (self._finish_late, 2),
            (self._hand_back, 2),
            (self._progress, 2),
            (self._cancel, 4),
            (self._retry, 4),
            (self._delete, 2),
            (self._stage, 4),
            (self._lose_worker, 1),
            (self._rescue, 3),
            (self._beat, 2),
            (self._fold, 3),
            (self._prune, 1),
        ]

    async def begin(self) -> None:
        await self._store.execute(
            f"select make_partitions(current_date - {OLD_DAYS + 1}, current_date)"
        )
        self._actors = [await self._store.a_user() for _ in range(3)]
        self._workers = [await self._store.a_worker() for _ in range(3)]

    async def step(self) -> None:
        deeds, weights = zip(*self._deeds, strict=True)
        chosen = self._random.choices(deeds, weights, k=self._random.randint(1, self._at_once))
        self._retried = set()
        await asyncio.gather(*(deed() for deed in chosen))
        self._jobs = list(await self._truth.check(self._retried))

    async def _submit(self) -> None:
        actor = self._random.choice(self._actors)
        jobs = [self._new_job(i) for i in range(self._random.choice([1, 1, 3, 8]))]
        with suppress(IdempotencyConflictError):
            await self._store.submissions.submit(actor, jobs)

    def _new_job(self, index: int) -> NewJob:
        chance = self._random.random
        fields = {
            "payload": {"n": self._random.randint(0, 1)},
            "queue": self._random.choice(["default", "other"]),
            "priority": self._random.choice(["high", "medium", "low"]),
            "max_attempts": self._random.randint(1, 3),
            "backoff": {"strategy": "fixed", "base_ms": 1},
        }
        if chance() < 0.5:
            fields["idempotency_key"] = f"key {self._random.randint(1, 12)}"
        if chance() < 0.3:
            soon = timedelta(milliseconds=self._random.randint(0, 100))
            fields["run_at"] = datetime.now(UTC) + soon
        job = a_job(index, **fields)
        return msgspec.structs.replace(job, id=id_of_day(OLD_DAYS)) if chance() < 0.2 else job

    async def _claim(self) -> None:
        worker = self._random.choice(self._workers)
        for job in await self._store.work.claim(worker, ROUTES, self._random.randint(1, 6)):
            assert job.token > self._tokens.get(job.id, 0), "a token that is not larger"
            self._tokens[job.id] = job.token
            if job.id in self._held:
                self._old.append(self._held[job.id])
            self._held[job.id] = job

    async def _finish(self) -> None:
        ends = [self._end(job) for job in self._some_held()]
        await self._store.work.finish(ends)
        self._old = self._old[-50:]

    async def _finish_late(self) -> None:
        late = [job for job in self._old if self._tokens[job.id] > job.token]
        assert await self._store.work.finish([self._end(job) for job in late]) == set()

    async def _hand_back(self) -> None:
        given = [(Lease(job.id, job.token), job.attempts) for job in self._some_held()]
        await self._store.work.hand_back(given)

    async def _progress(self) -> None:
        held = self._random.sample(sorted(self._held.values(), key=_by_id), len(self._held))
        await self._store.work.progress({Lease(job.id, job.token): 0.5 for job in held})

    def _some_held(self) -> list[ClaimedJob]:
        held = sorted(self._held.values(), key=_by_id)
        some = self._random.sample(held, self._random.randint(0, len(held)))
        for job in some:
            self._old.append(self._held.pop(job.id))
        return some

    def _end(self, job: ClaimedJob) -> Finish:
        outcome = self._random.choice(OUTCOMES)
        settlement = settle(
            outcome,
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            backoff=job.backoff,
            permanent=self._random.random() < 0.2,
        )
        return Finish(job.lease, outcome, settlement, started_ago=1.0, ended_ago=0.0)

    async def _cancel(self) -> None:
        await self._command(self._store.commands.cancel)

    async def _retry(self) -> None:
        await self._command(self._store.commands.retry, self._retried)

    async def _delete(self) -> None:
        await self._command(self._store.commands.delete)

    async def _command(
        self, command: Callable[[Actor, UUID], Awaitable[None]], noted: set[UUID] | None = None
    ) -> None:
        if not self._jobs:
            return
        job_id = self._random.choice(self._jobs)
        if noted is not None:
            noted.add(job_id)
        for actor in self._actors:
            with suppress(InvalidStateError, NotFoundError):
                await command(actor, job_id)

    async def _stage(self) -> None:
        await self._store.upkeep.stage_due(self._random.choice([1, 5, 1000]))

    async def _lose_worker(self) -> None:
        lost = self._random.randrange(len(self._workers))
        gone, self._workers[lost] = self._workers[lost], await self._store.a_worker()
        if self._random.random() < 0.5:
            await self._store.expire(gone)
        else:
            await self._store.work.leave(gone)

    async def _rescue(self) -> None:
        await self._store.upkeep.rescue_expired(self._random.choice([1, 5, 500]))

    async def _beat(self) -> None:
        worker = self._random.choice(self._workers)
        held = list(self._held) if self._random.random() < 0.5 else None
        await self._store.work.beat(worker, TTL, held)

    async def _fold(self) -> None:
        await self._store.upkeep.fold_counters(self._random.choice([1, 10, 1000]))

    async def _prune(self) -> None:
        age = "update finished set since = now() - interval '8 days' where job_id = any($1)"
        some = self._random.sample(self._jobs, len(self._jobs) // 2)
        await self._store.execute(age, some)
        await self._store.upkeep.prune()


def _by_id(job: ClaimedJob) -> UUID:
    return job.id
