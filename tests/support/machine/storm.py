"""Several things at the same moment. What comes of it is not foreseen, but every promise holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from internal.domain.accounts import Actor
from internal.domain.errors import IdempotencyConflictError, InvalidStateError, NotFoundError
from internal.domain.jobs import Outcome
from internal.domain.ports.work import ClaimedJob, LoggedLine, Progress
from tests.support.machine.bench import TTL, Bench, finish_of, lease_of
from tests.support.machine.model import End
from tests.support.machine.requests import KEYS, ROUTES, TYPES, Wanted, new_job

ENDS: Final = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.RELEASED)
Deed = Callable[[Random, list[ClaimedJob]], Awaitable[None]]

seeds: Final = st.integers(0, 2**32)
sizes: Final = st.integers(2, 6)


class Storm(Bench):
    """Up to six deeds at once; the model learns from the tables what they have come to."""

    @rule(seed=seeds, size=sizes)
    def users_at_once(self, seed: int, size: int) -> None:
        """With the same keys and the same jobs."""
        self._at_once("users at once", seed, size, [self._submits, *[self._commands] * 3])

    @rule(seed=seeds, size=sizes)
    def workers_at_once(self, seed: int, size: int) -> None:
        deeds = [self._claims, self._claims, self._ends, self._hands_back, self._shares]
        self._at_once("workers at once", seed, size, [*deeds, self._beats, self._upkeep])

    @rule(seed=seeds, size=sizes)
    def all_at_once(self, seed: int, size: int) -> None:
        """Commands about jobs that are just claimed, ended, rescued and staged."""
        deeds = [self._submits, self._claims, self._ends, self._hands_back, self._shares]
        often = [*[self._commands] * 3, *[self._upkeep] * 2]
        self._at_once("all at once", seed, size, [*deeds, self._beats, *often])

    def _at_once(self, name: str, seed: int, size: int, may_be: list[Deed]) -> None:
        random = Random(seed)  # noqa: S311 - a seed makes the choices again
        deeds = random.choices(may_be, k=size)
        self.tell(", ".join(deed.__name__ for deed in deeds))
        free = self.held()
        random.shuffle(free)
        self.do(name, self._gather([deed(random, free) for deed in deeds]))
        self.model.learn(self.world.seen(), self.world.named_by_keys())

    async def _gather(self, deeds: list[Awaitable[None]]) -> None:
        await asyncio.gather(*deeds)

    async def _submits(self, random: Random, _free: list[ClaimedJob]) -> None:
        actor, key = random.choice(self.users), random.choice((*KEYS, None))
        fields = Wanted(random.choice(TYPES), key=key).fields(hours=0)
        job = new_job(0, fields, is_old=False)
        with suppress(IdempotencyConflictError):
            (answer,) = await self.store.submissions.submit(actor, [job])
            self.name(answer.id)
            if key is not None:
                named = (answer.id, fields)
                if not answer.deduplicated:
                    self.model.keys[actor.user_id, key] = named

    async def _claims(self, random: Random, _free: list[ClaimedJob]) -> None:
        worker = random.choice(self.workers)
        claimed = await self.store.work.claim(worker, ROUTES, random.randint(1, 5))
        self.noted_claims(worker, claimed)

    async def _ends(self, random: Random, free: list[ClaimedJob]) -> None:
        jobs, end = _some_of(random, free), End(random.choice(ENDS))
        await self.store.work.finish([finish_of(job, end) for job in jobs])

    async def _hands_back(self, random: Random, free: list[ClaimedJob]) -> None:
        jobs = _some_of(random, free)
        await self.store.work.hand_back([(lease_of(job), job.attempts) for job in jobs])

    async def _shares(self, random: Random, free: list[ClaimedJob]) -> None:
        """Of jobs that may be ending at the same moment."""
        leases = [lease_of(job) for job in _some_of(random, free)]
        await self.store.work.progress(dict.fromkeys(leases, Progress(0.25)))
        await self.store.work.log(dict.fromkeys(leases, (LoggedLine(1, 0.0, "a line"),)))

    async def _commands(self, random: Random, _free: list[ClaimedJob]) -> None:
        commands = self.store.commands
        deeds: list[Callable[[Actor, UUID], Awaitable[None]]]
        edit = partial(commands.edit, payload='{"n": 1}')
        deeds = [commands.cancel, commands.retry, commands.delete, edit]
        deed, job_id = random.choice(deeds), random.choice([*self.names])
        self.retried.add(job_id)
        for actor in self.users:
            with suppress(InvalidStateError, NotFoundError):
                await deed(actor, job_id)

    async def _upkeep(self, random: Random, _free: list[ClaimedJob]) -> None:
        upkeep = self.store.upkeep
        deeds: list[Callable[[int], Awaitable[object]]]
        deeds = [upkeep.stage_due, upkeep.rescue_expired, upkeep.fold_counters, upkeep.tend_flows]
        await random.choice(deeds)(random.choice([1, 5, 1000]))

    async def _beats(self, random: Random, free: list[ClaimedJob]) -> None:
        worker = random.choice(self.workers)
        held = [job.id for job in _some_of(random, free)] if random.random() < 0.5 else None
        await self.store.work.beat(worker, TTL, held)


def _some_of(random: Random, jobs: list[ClaimedJob]) -> list[ClaimedJob]:
    return random.sample(jobs, random.randint(0, len(jobs)))
