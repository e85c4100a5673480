"""What all rules share: the model, the store beside it, and the look at both after each step."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from internal.domain.jobs import Outcome, settle
from internal.domain.ports.work import ClaimedJob, Finish, Lease
from internal.domain.retry import Backoff, Strategy
from tests.support.invariants import violations
from tests.support.machine.model import End, Model
from tests.support.machine.requests import HOUR, HOUR_MS, ROUTES
from tests.support.machine.world import World
from tests.support.truth import Truth

T = TypeVar("T")

# A worker's name ends when a rule says so, not while a history runs.
TTL: Final = HOUR
USERS: Final = 3
WORKERS: Final = 3
EVERYTHING: Final = 1000
BACKOFF: Final = Backoff(Strategy.FIXED, base_ms=HOUR_MS, max_ms=HOUR_MS)

# Rules name things by their place in a list, so that a history with a step less is one, too.
which: Final = st.integers(0, 20)
some: Final = st.lists(which, min_size=1, max_size=4)
limits: Final = st.sampled_from([EVERYTHING, 1, 2, 5])
one_of_the_workers: Final = st.integers(0, WORKERS - 1)


class Bench(RuleBasedStateMachine):
    """A model and the store; `workers` live, those in `retired` are past.

    A rule that has nothing to do just now does nothing. No rule has a precondition: what several
    things at once come to differs from run to run, and Hypothesis must see the same choices.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.store = world.store
        self.model = Model()
        self.truth = Truth(world.store)
        self.users = [world.run(world.store.a_watching_user()) for _ in range(USERS)]
        self.workers: list[str] = []
        self.retired: list[str] = []
        self.claims: list[ClaimedJob] = []
        self.tokens: dict[UUID, int] = {}
        self.names: dict[UUID, str] = {}
        self.retried: set[UUID] = set()
        self.aged: set[UUID] = set()
        self.last = ""
        self._is_checked = False
        self.diary: list[str] = []
        for _ in range(WORKERS):
            self.hire()

    def teardown(self) -> None:
        self.world.clear()

    def do(self, rule: str, deed: Coroutine[Any, Any, T]) -> T:
        """Do it in the store, and count the step."""
        self.world.steps[rule] += 1
        self.last = rule
        self._is_checked = False
        self.diary.append(f"- {rule}")
        return self.world.run(deed)

    def check_invariants(
        self, settings: object, output: object, runtimes: dict[str, float]
    ) -> None:
        """After each step; not `@invariant`s, which would print a line each into every history."""
        if self._is_checked:
            return
        self._is_checked = True
        try:
            self._everything_is_as_the_model_has_it()
            self._every_promise_holds()
        except Exception as error:
            # What came of several things at once may not happen again when Hypothesis replays it.
            error.add_note("\n".join(["This is what happened:", *self.diary]))
            raise

    def _everything_is_as_the_model_has_it(self) -> None:
        seen, model = self.world.seen(), self.model.jobs
        wrong = {self.name(id) for id in {*seen, *model} if seen.get(id) != model.get(id)}
        assert not wrong, "\n".join(
            f"{name} is {seen.get(id)},\n{name} should be {model.get(id)}"
            for id, name in self.names.items()
            if name in wrong
        )
        assert self.world.named_by_keys() == {job_id for job_id, _ in self.model.keys.values()}

    def _every_promise_holds(self) -> None:
        retried, self.retried = self.retried, set()
        self.world.run(self.truth.check(retried))
        assert self.world.run(violations(self.store)) == {}

    def tell(self, what: str) -> None:
        """For whoever reads a history that failed."""
        self.diary.append(f"  {what}")
        note(f"# {what}")

    def hire(self) -> str:
        """A live worker more."""
        worker = self.world.run(self.store.a_worker(TTL, ROUTES))
        self.workers.append(worker)
        self.model.live.add(worker)
        return worker

    def retire(self, worker: str) -> None:
        """It lives no more; another takes its place."""
        self.workers.remove(worker)
        self.retired.append(worker)
        self.model.live.discard(worker)
        self.hire()

    def noted_claims(self, worker: str, claimed: Iterable[ClaimedJob]) -> None:
        """Keep what a claim gave; tokens of a job only grow."""
        for job in claimed:
            assert job.token > self.tokens.get(job.id, 0), f"{self.name(job.id)}: an old token"
            self.tokens[job.id] = job.token
            self.claims.append(job)
            self.tell(f"{self.name(job.id)} runs on {worker}, its token is {job.token}")

    def held(self) -> list[ClaimedJob]:
        return [each for each in self.claims if self.model.holds(each.id, each.token)]

    def some_held(self, places: Sequence[int]) -> list[ClaimedJob]:
        return picked(self.held(), places)

    def name(self, job_id: UUID) -> str:
        return self.names.setdefault(job_id, f"job {len(self.names) + 1}")

    def learn(self, candidates: Sequence[UUID], limit: int, count: int) -> list[UUID]:
        """Which of those that may move did: as many as the store says, and as it could."""
        assert count == min(limit, len(candidates))
        seen = self.world.seen()
        moved = [id for id in candidates if seen.get(id) != self.model.jobs[id]]
        assert len(moved) == count
        return moved


def picked(things: Sequence[T], places: Sequence[int]) -> list[T]:
    """The things at these places, counted round and round, each once; none of no things."""
    if not things:
        return []
    return [things[place] for place in dict.fromkeys(each % len(things) for each in places)]


def finish_of(job: ClaimedJob, end: End) -> Finish:
    """An end as a worker hands it over."""
    settlement = settle(
        end.outcome,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        backoff=BACKOFF,
        permanent=end.permanent,
        retry_after=None if end.hours is None else end.hours * HOUR,
    )
    error = None if end.outcome is Outcome.SUCCEEDED else f"it {end.outcome}"
    return Finish(
        Lease(job.id, job.token),
        end.outcome,
        settlement,
        ran_ms=1_000.0,
        ended=time.monotonic(),
        error=error,
        is_held=end.is_held,
    )


def lease_of(job: ClaimedJob) -> Lease:
    return Lease(job.id, job.token)
