"""Random histories of queues with limits: whatever happens at once, no limit is passed, and nothing
that may go through stays behind its gate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.errors import InvalidStateError
from internal.domain.jobs import Outcome, Settlement, settle
from internal.domain.ports.work import ClaimedJob, Finish, Lease
from internal.domain.queues import QueueSettings, RateLimit
from tests.support.gates import Gate, age_lanes, look
from tests.support.invariants import violations
from tests.support.store import TTL, Store, a_job, an_end
from tests.support.truth import Truth

QUEUES: Final = ("a", "b")
KEYS: Final = (None, None, "x", "y", "z")
# Of the types that no worker has, each waits for a worker of its own route.
TYPES: Final = ("noop", "noop", "rare")
# Jobs that saw too many workers end go by routes of their own.
ROUTES: Final = (
    ("pull:noop", "alone:pull:noop"),
    ("pull:rare",),
    ("pull:noop", "pull:rare", "alone:pull:rare"),
)
SERVED: Final = ("pull:noop", "pull:rare", "alone:pull:noop", "alone:pull:rare")
WORKERS: Final = 2
MOST_AT_ONCE: Final = 5
# Soon enough to wait for, and too slow to be passed unseen.
RATES: Final = (RateLimit(100, burst=1), RateLimit(200, burst=3))
UNLIMITED: Final = QueueSettings(paused=False, max_running_per_key=1_000_000)
# Each ends whatever may run.
ROUNDS: Final = 100

Deed = Callable[[], Awaitable[None]]


class GateHistory:
    """`step` does a few random things at once and looks at what they have come to."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._random = Random(seed)  # noqa: S311 - a seed makes the choices again
        self._truth = Truth(store, is_heard=False)
        self._actors: list[Actor] = []
        self._workers: dict[str, tuple[str, ...]] = {}
        self._jobs: list[tuple[Actor, UUID]] = []
        self._held: list[ClaimedJob] = []
        self._going_on: list[ClaimedJob] = []
        self._retried: set[UUID] = set()
        self._before: dict[int, Gate] = {}
        self._pruning = asyncio.Lock()
        self._deeds: list[tuple[Deed, int]] = [
            (self._submit, 12),
            (self._admit, 12),
            (self._claim, 12),
            (self._finish, 12),
            (self._hand_back, 3),
            (self._let_go, 4),
            (self._limit, 6),
            (self._hold, 2),
            (self._resume, 3),
            (self._cancel, 3),
            (self._retry, 3),
            (self._stage, 4),
            (self._expire, 2),
            (self._lose_a_worker, 3),
            (self._rescue, 3),
            (self._tend, 3),
            (self._prune, 1),
            (self._hire, 1),
        ]

    async def begin(self) -> None:
        self._actors = [await self._store.a_user() for _ in range(2)]
        for _ in range(WORKERS):
            await self._hire()

    async def step(self) -> None:
        """Whatever comes of it: no limit is passed, and each job stands in one place."""
        deeds, weights = zip(*self._deeds, strict=True)
        chosen = self._random.choices(deeds, weights, k=self._random.randint(1, MOST_AT_ONCE))
        await asyncio.gather(*(deed() for deed in chosen))
        await self._check()

    async def settle(self) -> None:
        """Nothing goes on: whatever may go through its gate does so."""
        await self._store.sweep()
        await self._until_quiet()
        await self._tend()
        await self._check()
        broken = await violations(self._store)
        assert broken == {}, broken
        for gate in self._before.values():
            stuck = gate.might_go_through()
            assert stuck == [], f"these wait for nothing: {stuck}\nat {gate}"
            hidden = gate.before_their_heads()
            assert hidden == [], f"these stand before the heads of their lanes: {hidden}"

    async def finish(self) -> None:
        """Without limits everything runs to its end."""
        worker = await self._store.a_worker(routes=SERVED)
        for actor in self._actors:
            for queue in QUEUES:
                await self._store.queues.set(actor, queue, UNLIMITED)
        for _ in range(ROUNDS):
            if not await self._unfinished():
                return
            await self._rescue()
            await self._let_go()
            await self._until_quiet()
            await self._store.upkeep.tend_flows(1000)
            claimed = await self._store.work.claim(worker, SERVED, 1000)
            ended, self._held = [*self._held, *claimed], []
            await self._store.work.finish([an_end(job) for job in ended])
            await self._stage()
        left = [gate for gate in await look(self._store) if gate.jobs]
        raise AssertionError(f"nothing limits these, and they do not run: {left}")

    async def _until_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.3  # what is limited in rate may go on
        while loop.time() < until or await self._exists("gate_note"):
            looked, pause = await self._store.upkeep.admit(5)
            if pause is None and not looked:
                break
            if pause is not None and not looked:
                await asyncio.sleep(min(pause.total_seconds(), 0.05))

    async def _check(self) -> None:
        gates = {gate.queue_id: gate for gate in await look(self._store)}
        for queue_id, gate in gates.items():
            gate.check(self._before.get(queue_id))
        self._before = gates
        retried, self._retried = self._retried, set()
        await self._truth.check(retried)

    async def _unfinished(self) -> bool:
        return await self._exists("job_state where status < 4")

    async def _exists(self, what: str) -> bool:
        query = f"select exists (select from {what})"  # noqa: S608 - our own names
        async with self._store.database.hot() as connection:
            return bool(await connection.fetchval(query))

    async def _submit(self) -> None:
        actor = self._random.choice(self._actors)
        jobs = [a_job(index, **self._request()) for index in range(self._random.randint(1, 6))]
        kept = await self._store.submissions.submit(actor, jobs)
        self._jobs += [(actor, each.id) for each in kept]

    def _request(self) -> dict[str, Any]:
        request: dict[str, Any] = {
            "type": self._random.choice(TYPES),
            "queue": self._random.choice(QUEUES),
            "priority": self._random.choice(("high", "medium", "low")),
            "concurrency_key": self._random.choice(KEYS),
            "rate_key": self._random.choice(KEYS),
        }
        if self._random.random() < 0.2:
            request["delay_ms"] = self._random.randint(1, 30)
        if self._random.random() < 0.1:
            later = timedelta(milliseconds=self._random.randint(1, 100))
            request["expires_at"] = datetime.now(UTC) + later
        return {name: value for name, value in request.items() if value is not None}

    async def _limit(self) -> None:
        choice = self._random.choice
        settings = QueueSettings(
            max_running=choice((None, None, 1, 2, 5)),
            rate_limit=choice((None, None, *RATES)),
            max_running_per_key=choice((1, 1, 2)),
            rate_limit_per_key=choice((None, *RATES)),
        )
        await self._store.queues.set(choice(self._actors), choice(QUEUES), settings)

    async def _hold(self) -> None:
        await self._pause(paused=True)

    async def _resume(self) -> None:
        await self._pause(paused=False)

    async def _pause(self, *, paused: bool) -> None:
        actor, queue = self._random.choice(self._actors), self._random.choice(QUEUES)
        await self._store.queues.pause(actor, queue, paused=paused)

    async def _admit(self) -> None:
        await self._store.upkeep.admit(self._random.choice((1, 3, 1000)))

    async def _claim(self) -> None:
        if not self._workers:
            return
        worker = self._random.choice([*self._workers])
        routes, most = self._workers[worker], self._random.choice((1, 3, 100))
        claimed = await self._store.work.claim(worker, routes, most)
        self._held += claimed

    async def _finish(self) -> None:
        await self._store.work.finish([self._an_end(job) for job in self._taken()])

    def _an_end(self, job: ClaimedJob) -> Finish:
        outcome = self._random.choice(
            (
                Outcome.SUCCEEDED,
                Outcome.SUCCEEDED,
                Outcome.FAILED,
                Outcome.RELEASED,
                Outcome.TIMED_OUT,
            )
        )
        settlement: Settlement = settle(
            outcome,
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            backoff=job.backoff,
            retry_after=timedelta(milliseconds=self._random.randint(0, 20)),
        )
        # The work of some goes on.
        is_held = outcome is Outcome.TIMED_OUT
        if is_held:
            self._going_on.append(job)
        end = an_end(job, outcome)
        return msgspec.structs.replace(end, settlement=settlement, is_held=is_held)

    async def _let_go(self) -> None:
        going_on, self._going_on = self._going_on, []
        await self._store.work.let_go([job.lease for job in going_on])

    async def _hand_back(self) -> None:
        jobs = self._taken()
        await self._store.work.hand_back([(Lease(j.id, j.token), j.attempts) for j in jobs])

    def _taken(self) -> list[ClaimedJob]:
        self._random.shuffle(self._held)
        cut = self._random.randint(0, len(self._held))
        taken, self._held = self._held[:cut], self._held[cut:]
        return taken

    async def _cancel(self) -> None:
        if self._jobs:
            with suppress(InvalidStateError):
                await self._store.commands.cancel(*self._random.choice(self._jobs))

    async def _retry(self) -> None:
        if self._jobs:
            actor, job_id = self._random.choice(self._jobs)
            self._retried.add(job_id)
            with suppress(InvalidStateError):
                await self._store.commands.retry(actor, job_id)

    async def _stage(self) -> None:
        await self._store.upkeep.stage_due(self._random.choice((1, 1000)))

    async def _expire(self) -> None:
        await self._store.upkeep.expire(100)

    async def _lose_a_worker(self) -> None:
        if self._workers:
            gone, _ = self._workers.popitem()
            await self._store.expire(gone)
            if self._random.random() < 0.5:
                await self._hire()

    async def _hire(self) -> None:
        routes = self._random.choice(ROUTES)
        self._workers[await self._store.a_worker(TTL, routes)] = routes

    async def _rescue(self) -> None:
        await self._store.upkeep.rescue_expired(100)

    async def _tend(self) -> None:
        await self._store.upkeep.tend_flows(1000)
        await self._store.upkeep.fold_counters(1000)

    async def _prune(self) -> None:
        async with self._pruning:
            await age_lanes(self._store)
            await self._store.sweep()
