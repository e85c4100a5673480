"""What users do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from internal.domain.accounts import Actor
from internal.domain.errors import IdempotencyConflictError, InvalidStateError, NotFoundError
from internal.domain.jobs import FINISHED, Status
from internal.domain.ports.jobs import Submitted
from internal.domain.submission import NewJob
from tests.support.machine.bench import USERS, Bench, picked, which
from tests.support.machine.model import Model, Place
from tests.support.machine.requests import Wanted, new_job, requests

UNFINISHED: Final = set(Status) - FINISHED
RETRIABLE: Final = {Status.FAILED, Status.CANCELED}
EDITABLE: Final = set(Status) - {Status.RUNNING, Status.SUCCEEDED}
# Mostly the job's owner; now and then somebody else.
whose: Final = st.sampled_from([0, 0, 0, 1])

Fields = dict[str, Any]
Command = Callable[[Actor, UUID], Coroutine[Any, Any, None]]


class Users(Bench):
    """Submit, cancel, retry, edit, delete."""

    @rule(
        user=st.integers(0, USERS - 1),
        wanted=st.lists(requests, min_size=1, max_size=4),
        hours=st.sampled_from([0, 0, 1, 2]),
        is_old=st.booleans(),
    )
    def submit(self, user: int, wanted: list[Wanted], hours: int, is_old: bool) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        actor, fields = self.users[user], [each.fields(hours) for each in wanted]
        jobs = [new_job(i, each, is_old=is_old) for i, each in enumerate(fields)]
        expected = foreseen(self.model, actor, jobs, fields)
        try:
            answers = self.do("submit", self.store.submissions.submit(actor, jobs))
        except IdempotencyConflictError:
            assert expected is None, "a key was refused that is free, or names the same request"
            return
        assert expected is not None, "another request was taken under a key that is in use"
        assert [answer.id for answer in answers] == expected
        for job, each, answer in zip(jobs, fields, answers, strict=True):
            if not answer.deduplicated:
                self._submitted(actor, job, each, hours, answer)

    def _submitted(
        self, actor: Actor, job: NewJob, fields: Fields, hours: int, answer: Submitted
    ) -> None:
        status = Status.SCHEDULED if hours else Status.QUEUED
        assert answer.status is status
        limit, due = fields["max_attempts"], hours or None
        self.model.jobs[job.id] = Place(actor.user_id, status, max_attempts=limit, hours=due)
        if job.idempotency_key is not None:
            self.model.keys[actor.user_id, job.idempotency_key] = (job.id, fields)
        self.tell(f"{self.name(job.id)} is {status}")

    @rule(pick=which, whose=whose)
    def cancel(self, pick: int, whose: int) -> None:
        job_id = self._one(pick, UNFINISHED)
        if self._may("cancel", self.store.commands.cancel, job_id, whose, UNFINISHED):
            self.model.cancel(job_id)

    @rule(pick=which, whose=whose)
    def retry(self, pick: int, whose: int) -> None:
        job_id = self._one(pick, RETRIABLE)
        self.retried.add(job_id)
        if self._may("retry", self.store.commands.retry, job_id, whose, RETRIABLE):
            self.model.retry(job_id)

    @rule(pick=which, whose=whose, number=st.integers(0, 9))
    def edit(self, pick: int, whose: int, number: int) -> None:
        """The version is all that changes besides, also of a finished job."""
        job_id, payload = self._one(pick, EDITABLE), f'{{"n": {number}}}'
        command = partial(self.store.commands.edit, payload=payload)
        self.retried.add(job_id)
        if self._may("edit", command, job_id, whose, EDITABLE):
            owner = self._owner_of(job_id)
            assert self.world.run(self.store.job(owner, job_id)).payload == payload

    @rule(pick=which, whose=whose)
    def delete(self, pick: int, whose: int) -> None:
        job_id = self._one(pick, FINISHED)
        if self._may("delete", self.store.commands.delete, job_id, whose, FINISHED):
            self.model.forget(job_id)

    def _one(self, pick: int, fitting: Collection[Status]) -> UUID:
        """Every second pick is a job that fits, as long as there is one."""
        fit = self.model.standing(*fitting)
        return picked(fit if fit and pick % 2 else list(self.names), [pick // 2])[0]

    def _owner_of(self, job_id: UUID) -> Actor:
        owner = self.model.jobs[job_id].user_id
        return next(each for each in self.users if each.user_id == owner)

    def _may(
        self, name: str, command: Command, job_id: UUID, whose: int, fitting: Collection[Status]
    ) -> bool:
        """Try it; whether it was done, as it must be for the owner of a job that fits."""
        place = self.model.jobs.get(job_id)
        owner = 0 if place is None else self.users.index(self._owner_of(job_id))
        actor = self.users[(owner + whose) % USERS]
        self.tell(f"{self.name(job_id)}, which is {place.status if place else 'gone'}")
        try:
            self.do(name, command(actor, job_id))
        except NotFoundError:
            assert place is None or whose, f"{self.name(job_id)} is not found"
            return False
        except InvalidStateError:
            assert place is not None
            assert place.status not in fitting, f"no {name} of {self.name(job_id)}"
            return False
        assert place is not None, f"{name} of a job that is gone"
        assert not whose, f"{name} of another user's job"
        assert place.status in fitting, f"{name} of a job that is {place.status}"
        return True


def foreseen(
    model: Model, actor: Actor, jobs: list[NewJob], all_fields: list[Fields]
) -> list[UUID] | None:
    """The jobs that the answers must name; None where a key stands for another request."""
    keys, expected = dict(model.keys), []
    for job, fields in zip(jobs, all_fields, strict=True):
        named = (job.id, fields)
        if job.idempotency_key is not None:
            named = keys.setdefault((actor.user_id, job.idempotency_key), named)
        if named[1] != fields:
            return None
        expected.append(named[0])
    return expected
