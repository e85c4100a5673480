"""What a store of jobs does, as a small model: dictionaries in place of tables.

It says again, in its own words, what docs/job-lifecycle.md promises; it shares no rule with the
code that it is held against. Time is counted in whole hours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import msgspec

from internal.domain.jobs import FINISHED, Outcome, Status

RETRY_HOURS = 1
USED_UP = {Outcome.FAILED, Outcome.TIMED_OUT}


class Place(msgspec.Struct, frozen=True):
    """A job as it stands; `hours` until it is due, `history` how its attempts ended."""

    user_id: UUID
    status: Status
    max_attempts: int
    attempts: int = 0
    number: int = 0
    hours: int | None = None
    worker: str | None = None
    token: int | None = None
    progress: float | None = None
    cancel_requested: bool = False
    history: tuple[Outcome, ...] = ()

    def to(self, status: Status, **changes: Any) -> Place:
        """The place of the same job in another state, without what only the lease had."""
        bare: dict[str, Any] = {"hours": None, "worker": None, "token": None, "progress": None}
        if status not in FINISHED:
            bare["cancel_requested"] = False
        return msgspec.structs.replace(self, status=status, **(bare | changes))


class End(msgspec.Struct, frozen=True):
    """How an attempt ended; `hours` replaces the wait for the next one.

    A lost one counts if its job is `to_blame`. Where the work goes on (`is_held`) the job does not
    start again before it has ended.
    """

    outcome: Outcome
    permanent: bool = False
    hours: int | None = None
    to_blame: bool = False
    is_held: bool = False


class Model:
    """The jobs by id, the keys by user, and which workers live."""

    def __init__(self) -> None:
        self.jobs: dict[UUID, Place] = {}
        self.keys: dict[tuple[UUID, str], tuple[UUID, Mapping[str, Any]]] = {}
        self.live: set[str] = set()
        self.held: dict[tuple[UUID, int], str] = {}
        self.blamed: set[tuple[str, UUID]] = set()

    def standing(self, *statuses: Status) -> list[UUID]:
        """The jobs in these states, the oldest first."""
        return sorted(id for id, place in self.jobs.items() if place.status in statuses)

    def holds(self, job_id: UUID, token: int) -> bool:
        """Whether this token is the job's lease."""
        place = self.jobs.get(job_id)
        return place is not None and place.token == token

    def claimed(self, job_id: UUID, worker: str, token: int) -> None:
        place = self.jobs[job_id]
        assert place.status is Status.QUEUED, f"a job that is not queued was claimed: {place}"
        assert worker in self.live, f"a job was claimed for a dead worker: {worker}"
        self.jobs[job_id] = place.to(
            Status.RUNNING, number=place.number + 1, worker=worker, token=token
        )

    def ended(self, job_id: UUID, end: End) -> None:
        """The end of the running attempt, be it by its worker or for it."""
        place = self.jobs[job_id]
        counts = end.outcome in USED_UP or end.to_blame
        attempts = place.attempts + counts
        if end.is_held and place.token is not None and place.worker is not None:
            self.held[job_id, place.token] = place.worker
        changes = {"attempts": attempts, "history": (*place.history, end.outcome)}
        if end.outcome is Outcome.SUCCEEDED:
            self.jobs[job_id] = place.to(Status.SUCCEEDED, **changes)
        elif place.cancel_requested or end.outcome is Outcome.CANCELED:
            self.jobs[job_id] = place.to(Status.CANCELED, **changes)
        elif counts and (end.permanent or attempts == place.max_attempts):
            self.jobs[job_id] = place.to(Status.FAILED, **changes)
        elif end.hours is not None:
            self.jobs[job_id] = place.to(Status.SCHEDULED, hours=end.hours, **changes)
        elif end.outcome in {Outcome.LOST, Outcome.RELEASED}:
            self.jobs[job_id] = place.to(Status.QUEUED, **changes)
        else:
            self.jobs[job_id] = place.to(Status.SCHEDULED, hours=RETRY_HOURS, **changes)

    def handed_back(self, job_id: UUID) -> None:
        """It never started: no attempt is left behind."""
        place = self.jobs[job_id]
        status = Status.CANCELED if place.cancel_requested else Status.QUEUED
        self.jobs[job_id] = place.to(status, number=place.number - 1)

    def progressed(self, job_id: UUID, share: float) -> None:
        self.jobs[job_id] = msgspec.structs.replace(self.jobs[job_id], progress=share)

    def cancel(self, job_id: UUID) -> None:
        place = self.jobs[job_id]
        if place.status is Status.RUNNING:
            self.jobs[job_id] = msgspec.structs.replace(place, cancel_requested=True)
        else:
            self.jobs[job_id] = place.to(Status.CANCELED)

    def retry(self, job_id: UUID) -> None:
        place = self.jobs[job_id]
        more = max(place.max_attempts, place.attempts + 1)
        if self._is_held(job_id):
            self.jobs[job_id] = place.to(Status.SCHEDULED, hours=0, max_attempts=more)
        else:
            self.jobs[job_id] = place.to(Status.QUEUED, max_attempts=more)

    def forget(self, job_id: UUID) -> None:
        """With its key."""
        del self.jobs[job_id]
        self.keys = {key: kept for key, kept in self.keys.items() if kept[0] != job_id}

    def due(self) -> list[UUID]:
        """The scheduled jobs whose time has come, and whose work does not go on."""
        waiting = self.standing(Status.SCHEDULED)
        return [id for id in waiting if self.jobs[id].hours == 0 and not self._is_held(id)]

    def _is_held(self, job_id: UUID) -> bool:
        return any(held == job_id for held, _ in self.held)

    def lost(self, job_id: UUID) -> None:
        """Its worker lives no more: it ends, and counts if the job is to blame."""
        to_blame = (self.jobs[job_id].worker, job_id) in self.blamed
        self.ended(job_id, End(Outcome.LOST, to_blame=to_blame))

    def holds_of_the_dead_end(self) -> None:
        """What processes that live no more were still at has ended with them."""
        self.held = {lease: worker for lease, worker in self.held.items() if worker in self.live}

    def abandoned(self) -> list[UUID]:
        """The jobs of workers that do not live."""
        running = self.standing(Status.RUNNING)
        return [id for id in running if self.jobs[id].worker not in self.live]

    def staged(self, job_id: UUID) -> None:
        self.jobs[job_id] = self.jobs[job_id].to(Status.QUEUED)

    def an_hour_passes(self) -> None:
        for job_id in self.standing(Status.SCHEDULED):
            place = self.jobs[job_id]
            hours = max(0, (place.hours or 0) - 1)
            self.jobs[job_id] = msgspec.structs.replace(place, hours=hours)

    def learn(self, seen: Mapping[UUID, Place], keys: Collection[UUID]) -> None:
        """Take over what several things at once have come to; `keys`: the jobs that keys name."""
        self.jobs = dict(seen)
        self.keys = {key: kept for key, kept in self.keys.items() if kept[0] in keys}
