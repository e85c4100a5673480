"""What one worker process holds: its names towards the database and the attempts it runs."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from internal.domain.ids import new_worker_id
from internal.domain.ports.work import ClaimedJob, Lease


class Running:
    """One attempt in progress; it is the `JobContext` that the handler sees."""

    def __init__(self, job: ClaimedJob) -> None:
        self.job = job
        self.lease = Lease(job.id, job.token)
        self.started = time.monotonic()
        self.cancel_requested = False
        self.abandoned = False
        self.lost = False
        self.share: float | None = None
        self.share_noted: float | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def job_id(self) -> UUID:
        """The job's id."""
        return self.job.id

    @property
    def type(self) -> str:
        """The job's type."""
        return self.job.type

    @property
    def attempt(self) -> int:
        """Which start of the job this is, from 1."""
        return self.job.number

    @property
    def attempts(self) -> int:
        """Failed and lost attempts before this one."""
        return self.job.attempts

    @property
    def max_attempts(self) -> int:
        """After how many failures the job fails for good."""
        return self.job.max_attempts

    @property
    def canceled(self) -> bool:
        """Whether to stop: the owner asked, or what it does no longer counts."""
        return self.cancel_requested or self.abandoned or self.lost

    def progress(self, share: float) -> None:
        """Report how much is done, from 0 to 1; called from any thread."""
        self.share = min(1.0, max(0.0, share))


class Identity:
    """A name under which leases are held; `renewed` is when its last good heartbeat began.

    `ending` are jobs that gave back their slot but whose ends may not be recorded yet.
    """

    def __init__(self) -> None:
        self.id = new_worker_id()
        self.renewed = time.monotonic()
        self.running: dict[UUID, Running] = {}
        self.ending: set[UUID] = set()


class Slots:
    """All that the process holds, under its current name and those it gave up."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.current: Identity | None = None
        self.retiring: list[Identity] = []
        self.hung = 0
        self.freed = asyncio.Event()

    @property
    def identities(self) -> list[Identity]:
        """The current name, if there is one, and those that are given up but still hold jobs."""
        return [*([self.current] if self.current else []), *self.retiring]

    @property
    def running(self) -> list[Running]:
        """Every attempt in progress."""
        return [each for identity in self.identities for each in identity.running.values()]

    @property
    def free(self) -> int:
        """How many more jobs may start; a thread that outlived its timeout keeps its slot."""
        return self.size - self.hung - sum(len(each.running) for each in self.identities)

    def retire(self) -> None:
        """Give up the current name: a claim whose answer was lost must not live on under it."""
        if self.current is not None:
            self.retiring.append(self.current)
            self.current = None

    def release(self, identity: Identity, running: Running) -> None:
        """An attempt has ended: its slot is free."""
        identity.running.pop(running.job.id, None)
        identity.ending.add(running.job.id)
        self.freed.set()
