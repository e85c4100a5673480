"""What workers do, and what befalls them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import ClaimedJob, Lease, LoggedLine, Progress
from tests.support.machine.bench import (
    EVERYTHING,
    TTL,
    Bench,
    finish_of,
    lease_of,
    limits,
    one_of_the_workers,
    picked,
    some,
    which,
)
from tests.support.machine.model import End
from tests.support.machine.requests import ROUTES

SNOOZE: Final = End(Outcome.RELEASED, hours=2)
failures: Final = st.sampled_from(
    [
        End(Outcome.FAILED),
        End(Outcome.FAILED, permanent=True),
        End(Outcome.FAILED, hours=2),
        End(Outcome.TIMED_OUT),
        End(Outcome.TIMED_OUT, is_held=True),
        End(Outcome.CANCELED),
        End(Outcome.RELEASED),
    ]
)
anyhow: Final = failures | st.just(End(Outcome.SUCCEEDED))


class Workers(Bench):
    """Claim, heartbeat, end attempts, stop, crash."""

    @rule(worker=one_of_the_workers, limit=limits)
    def claim(self, worker: int, limit: int) -> None:
        self._claim(self.workers[worker], limit)

    @rule(worker=one_of_the_workers)
    def claim_until_nothing_is_queued(self, worker: int) -> None:
        """Whatever order users and queues are served in, nothing is left behind."""
        while self.model.standing(Status.QUEUED):
            self._claim(self.workers[worker], 5)

    def _claim(self, worker: str, limit: int) -> list[ClaimedJob]:
        queued = self.model.standing(Status.QUEUED)
        claimed = self.do("claim", self.store.work.claim(worker, ROUTES, limit))
        assert len(claimed) <= limit
        assert claimed or not queued, "jobs are queued, and a claim found none"
        for job in claimed:
            self.model.claimed(job.id, worker, job.token)
            place = self.model.jobs[job.id]
            assert (job.number, job.attempts) == (place.number, place.attempts)
        self.noted_claims(worker, claimed)
        return claimed

    @rule(worker=one_of_the_workers, limit=limits, end=anyhow)
    def work(self, worker: int, limit: int, end: End) -> None:
        """Claim, and end at once what was claimed."""
        claimed = self._claim(self.workers[worker], limit)
        self._end("work", claimed, end)

    @rule(picks=some)
    def complete(self, picks: list[int]) -> None:
        self._end("complete", self.some_held(picks), End(Outcome.SUCCEEDED))

    @rule(picks=some, end=failures)
    def fail(self, picks: list[int], end: End) -> None:
        self._end("fail", self.some_held(picks), end)

    @rule(picks=some)
    def snooze(self, picks: list[int]) -> None:
        self._end("snooze", self.some_held(picks), SNOOZE)

    def _end(self, name: str, jobs: list[ClaimedJob], end: End) -> None:
        if not jobs:
            return
        late = self.do(name, self.store.work.finish([finish_of(job, end) for job in jobs]))
        assert late == set(), "an end whose token holds was not recorded"
        for job in jobs:
            self.model.ended(job.id, end)
            self.tell(f"{self.name(job.id)} is {self.model.jobs[job.id].status}")

    @rule(picks=some, end=anyhow)
    def write_late(self, picks: list[int], end: End) -> None:
        """With old tokens, all that a worker can write changes nothing."""
        held = self.held()
        running = {job.id for job in held}
        past = [each for each in self.claims if each not in held]
        # The newest holder of such a job is whom an old token could harm.
        late = picked([each for each in past if each.id in running] or past, picks)
        if not late:
            return
        deed = self.store.work.finish([finish_of(job, end) for job in late])
        assert self.do("write late", deed) == {job.id for job in late}
        self.world.run(self.store.work.progress({lease_of(job): Progress(0.75) for job in late}))
        line = (LoggedLine(1, 0.0, "too late"),)
        assert self.world.run(self.store.work.log({lease_of(job): line for job in late})) == set()
        self.world.run(self.store.work.hand_back([(lease_of(job), 0) for job in late]))

    @rule(picks=some)
    def stop(self, picks: list[int]) -> None:
        """Hand back what has not started."""
        jobs = self.some_held(picks)
        if not jobs:
            return
        given = [(lease_of(job), job.attempts) for job in jobs]
        self.do("stop", self.store.work.hand_back(given))
        for job in jobs:
            self.model.handed_back(job.id)

    @rule(worker=one_of_the_workers)
    def heartbeat(self, worker: int) -> None:
        name = self.workers[worker]
        beat = self.do("heartbeat", self.store.work.beat(name, TTL))
        assert beat.alive
        asked = {id for id in self._leased_to(name) if self.model.jobs[id].cancel_requested}
        assert beat.canceled == asked
        running = [job for job in self.held() if self.model.jobs[job.id].worker == name]
        if running:
            shares = {lease_of(job): Progress(0.5) for job in running}
            self.do("progress", self.store.work.progress(shares))
        for job in running:
            self.model.progressed(job.id, 0.5)

    @rule(worker=one_of_the_workers, known=st.lists(which, max_size=3))
    def heartbeat_of_a_name_that_lost_a_claim(self, worker: int, known: list[int]) -> None:
        """It says what it holds, and what it does not know of goes back."""
        holders = [each for each in self.workers if self._leased_to(each)]
        if not holders:
            return
        (name,) = picked(holders, [worker])
        held = self._leased_to(name)
        kept = picked(held, known)
        if held == kept:
            return
        assert self.do("heartbeat with held", self.store.work.beat(name, TTL, kept)).alive
        for job_id in set(held) - set(kept):
            self.model.handed_back(job_id)

    def _leased_to(self, name: str) -> list[UUID]:
        running = self.model.standing(Status.RUNNING)
        return [id for id in running if self.model.jobs[id].worker == name]

    @rule(worker=which)
    def come_back_from_the_dead(self, worker: int) -> None:
        if not self.retired:
            return
        (gone,) = picked(self.retired, [worker])
        beat = self.do("come back", self.store.work.beat(gone, TTL))
        assert not beat.alive, "a name that has expired came back to life"
        assert self.world.run(self.store.work.claim(gone, ROUTES, EVERYTHING)) == []

    @rule(picks=some)
    def let_go(self, picks: list[int]) -> None:
        """Work that outlived its attempt ends."""
        if not self.model.held:
            return
        ended = picked(sorted(self.model.held), picks)
        self.do("let go", self.store.work.let_go([Lease(*each) for each in ended]))
        for each in ended:
            del self.model.held[each]

    @rule(worker=one_of_the_workers)
    def stop_answering(self, worker: int) -> None:
        gone = self._retired_holder(worker)
        if gone is not None:
            self.do("expire", self.store.expire(gone))
            self.come_back_from_the_dead(self.retired.index(gone))

    @rule(worker=one_of_the_workers, is_polite=st.booleans(), blamed=st.lists(which, max_size=2))
    def crash(self, worker: int, is_polite: bool, blamed: list[int]) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        """It is seen to end before it has handed back what it holds; a job may be to blame."""
        gone = self._retired_holder(worker)
        if gone is None:
            return
        jobs = picked(self._leased_to(gone), blamed)
        if is_polite:
            self.do("leave", self.store.work.leave(gone))
        self.do("crash", self.store.end_processes([gone], jobs))
        self.model.blamed |= {(gone, job_id) for job_id in jobs}

    def _retired_holder(self, worker: int) -> str | None:
        """One of the workers that hold something, or whose work goes on."""
        going_on = set(self.model.held.values())
        holders = [each for each in self.workers if self._leased_to(each) or each in going_on]
        if not holders:
            return None
        (gone,) = picked(holders, [worker])
        self.retire(gone)
        self.tell(f"{gone} is no more")
        return gone
