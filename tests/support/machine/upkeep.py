"""What goes on in the background, and the time that passes."""

from __future__ import annotations

from hypothesis.stateful import rule

from internal.domain.jobs import FINISHED, Status
from tests.support.machine.bench import Bench, limits, picked, some


class Upkeep(Bench):
    """Stage, rescue, fold, prune."""

    @rule(limit=limits)
    def stage(self, limit: int) -> None:
        if not self.model.standing(Status.SCHEDULED):
            return
        staged, _ = self.do("stage", self.store.upkeep.stage_due(limit))
        for job_id in self.learn(self.model.due(), limit, staged):
            self.model.staged(job_id)

    @rule(limit=limits)
    def rescue(self, limit: int) -> None:
        if not self.model.standing(Status.RUNNING) and not self.model.held:
            return
        rescued = self.do("rescue", self.store.upkeep.rescue_expired(limit))
        for job_id in self.learn(self.model.abandoned(), limit, rescued):
            self.model.lost(job_id)
        self.model.holds_of_the_dead_end()

    @rule()
    def an_hour_passes(self) -> None:
        if not self.model.standing(Status.SCHEDULED):
            return
        shift = "update scheduled set run_at = run_at - interval '1 hour'"
        self.do("time", self.store.execute(shift))
        self.model.an_hour_passes()
        self.world.run(self.truth.look())

    @rule(limit=limits)
    def fold(self, limit: int) -> None:
        if self.last != "fold":
            self.do("fold", self.store.upkeep.fold_counters(limit))

    @rule(limit=limits)
    def tend(self, limit: int) -> None:
        """Flows and users without queued jobs fall asleep; no queued job is left behind by it."""
        if self.last != "tend":
            self.do("tend", self.store.upkeep.tend_flows(limit))

    @rule(picks=some)
    def prune(self, picks: list[int]) -> None:
        """Eight days later: failed jobs are kept for longer."""
        old = picked(self.model.standing(*FINISHED), picks)
        if not old:
            return
        age = "update finished set since = now() - interval '8 days' where job_id = any($1)"
        self.world.execute(age, old)
        self.do("prune", self.store.sweep())
        vanished = self.model.jobs.keys() - self.world.seen().keys()
        self.aged |= set(old)
        for job_id in vanished:
            assert job_id in self.aged, f"{self.name(job_id)} was forgotten too soon"
            assert self.model.jobs[job_id].status is not Status.FAILED
            self.model.forget(job_id)
