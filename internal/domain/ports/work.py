"""What workers do to the store: claim, heartbeat, finish, and the upkeep around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Protocol
from uuid import UUID

import msgspec

from internal.domain.blame import Suspicion
from internal.domain.failures import Failure
from internal.domain.handlers import Parent
from internal.domain.jobs import Outcome, Settlement
from internal.domain.retry import Backoff, Strategy

NO_PARENTS: Final[Mapping[str, Parent]] = MappingProxyType({})


class Lease(msgspec.Struct, frozen=True, gc=False):
    """The right to finish an attempt, for as long as its token is the newest."""

    job_id: UUID
    token: int


class Progress(msgspec.Struct, frozen=True, gc=False):
    """How much of an attempt is done, from 0 to 1, and its handler's words about it."""

    share: float
    note: str | None = None


class LoggedLine(msgspec.Struct, frozen=True, gc=False):
    """A line of an attempt's log, its lines numbered from 1 without gaps.

    `logged` is a reading of this process's monotonic clock.
    """

    number: int
    logged: float
    text: str


class ClaimedJob(msgspec.Struct, frozen=True, gc=False):
    """A leased job: all that running it needs. `token` fences every later write about it.

    `tag` is its start in virtual time: the lower, the sooner its turn, also between claims.
    `weight` is its user's. `expired`: it is not worth running any more. `parents` are those of its
    `dependencies` that it waited for. The other fields stand in the order of the claim's columns: a
    row makes one.
    """

    id: UUID
    user_id: UUID
    token: int
    type: str
    payload: str
    number: int
    attempts: int
    max_attempts: int
    backoff_strategy: Strategy
    backoff_base_ms: int
    backoff_max_ms: int
    backoff_jitter: float
    timeout_ms: int
    tag: float
    weight: float
    expired: bool = False
    dependencies: int = 0
    parents: Mapping[str, Parent] = NO_PARENTS

    @property
    def lease(self) -> Lease:
        """The right to end it."""
        return Lease(self.id, self.token)

    @property
    def backoff(self) -> Backoff:
        """The delays after failures."""
        return Backoff(
            Strategy(self.backoff_strategy),
            self.backoff_base_ms,
            self.backoff_max_ms,
            self.backoff_jitter,
        )


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The end of an attempt; `ended` is a reading of this process's monotonic clock.

    `outcome`: None where it never began. No attempt is kept then, and `error` is the job's reason.
    `lines` are those of its log that are not known to be written: they go first.
    `failure` groups a job that fails for good with others like it.

    Attributes:
        is_held: its work goes on, in a thread or task that cannot be stopped: its place stays taken
            and its job does not start again before `Finishes.let_go`, or the end of the process.
        is_misfit: it could not read the payload; where the job goes is decided by how long this
            has been so (internal/domain/misfits.py).
        suspicion: what the end says against its job (internal/domain/blame.py).
    """

    lease: Lease
    outcome: Outcome | None
    settlement: Settlement
    ran_ms: float
    ended: float
    result: str | None = None
    error: str | None = None
    progress: Progress | None = None
    lines: Sequence[LoggedLine] = ()
    failure: Failure | None = None
    is_held: bool = False
    is_misfit: bool = False
    suspicion: Suspicion = Suspicion.NONE


class Beat(msgspec.Struct, frozen=True):
    """The answer to a heartbeat. Not `alive`: every lease held under this id is lost.

    `waits_alone`: jobs of its routes wait for an isolated worker, and none of those is free.
    """

    alive: bool
    canceled: frozenset[UUID] = frozenset()
    waits_alone: bool = False


class Claims(Protocol):
    """Taking jobs out of the queue."""

    async def claim(
        self,
        worker_id: str,
        routes: Sequence[str],
        limit: int,
        passed_over: Sequence[UUID] = (),
    ) -> list[ClaimedJob]:
        """Lease up to `limit` queued jobs of these routes to a live worker, one round trip.

        In fair order (`internal.domain.fairness`), none of the users `passed_over`. Two callers
        never get the same job: users whom another claim holds are skipped. The lease ends with the
        worker's heartbeat.
        """

    async def is_waiting(self, routes: Sequence[str], passed_over: Sequence[UUID] = ()) -> bool:
        """Whether `claim` would find a job, were no user held by another claim just now."""


class Finishes(Protocol):
    """Ending attempts."""

    async def finish(self, ends: Sequence[Finish]) -> set[UUID]:
        """Record the ends whose tokens still hold, all or none, and move their jobs on.

        An end with an old token changes nothing; so does the same call again. A job whose owner
        asked for a cancel ends as canceled unless it succeeded. Returns the jobs of which nothing
        was recorded: their ends came too late.
        """

    async def hand_back(
        self, leases: Sequence[tuple[Lease, int]], route: str | None = None
    ) -> None:
        """Queue claimed jobs again whose handlers never started: no attempt is counted or kept.

        Each lease comes with the job's `attempts` as claimed. With `route`, only workers that serve
        it claim them from now on.
        """

    async def let_go(self, leases: Sequence[Lease]) -> None:
        """The work of attempts that were recorded as `is_held` has ended: their places are free."""

    async def progress(self, reports: Mapping[Lease, Progress]) -> None:
        """Keep the newest progress of running jobs."""

    async def log(self, lines: Mapping[Lease, Sequence[LoggedLine]]) -> set[UUID]:
        """Keep lines of running jobs, each once however often it comes; the jobs they are kept of.

        Lines under an old token change nothing. Those of a job whose end is being recorded at the
        same moment are left to that end.
        """


class Workers(Protocol):
    """Which worker processes live."""

    async def register(
        self,
        worker_id: str,
        ttl: timedelta,
        slots: int,
        routes: Sequence[str],
        *,
        is_alone: bool = False,
    ) -> None:
        """Begin; an id is never used twice. `Upkeep.tend_flows` wakes who waits for its routes.

        An isolated worker (`is_alone`) runs one job at a time: what is lost with it counts.
        """

    async def beat(
        self,
        worker_id: str,
        ttl: timedelta,
        held: Sequence[UUID] | None = None,
        *,
        running: int = 0,
        lag_ms: int = 0,
    ) -> Beat:
        """Renew all leases of this id at once; an expired id stays expired.

        `running` and `lag_ms` are shown to operators: the jobs running now, and the longest that a
        handler has held up the process since the last beat.

        With `held`, for an id that claims no more, leases of jobs not among them are handed back:
        they came from a claim whose answer was lost.
        """

    async def leave(self, worker_id: str) -> None:
        """End; leases still held are rescued as lost."""


class Beats(Protocol):
    """The heartbeat over a connection of its own, for the loop of another thread."""

    async def beat(
        self, worker_id: str, ttl: timedelta, *, running: int = 0, lag_ms: int = 0
    ) -> Beat:
        """As `Workers.beat`; one call at a time."""

    async def end(
        self, worker_ids: Sequence[str], blamed: Sequence[UUID], suspected: Sequence[UUID] = ()
    ) -> None:
        """These processes are gone: their leases are rescued at once.

        The loss counts for the blamed jobs, and the suspected ones run alone from now on. The first
        call about a process is the one that counts.
        """

    async def close(self) -> None:
        """Let go of the connection."""


class Upkeep(Protocol):
    """Duties any process may do at any time; several at once do not disturb each other."""

    async def stage_due(self, limit: int) -> tuple[int, timedelta | None]:
        """Queue scheduled jobs whose time has come; how many, and how long until the next."""

    async def admit(self, limit: int) -> tuple[bool, timedelta | None]:
        """Let jobs through the gate of one queue, as far as its limits allow, at most `limit`.

        Whether there was a gate to look at, so that there may be another one, and how long until a
        limit on starts lets somebody through. Several at once take different queues. Exact: a job
        counts from here on until its lease ends.
        """

    async def expire(self, limit: int) -> tuple[int, timedelta | None]:
        """Cancel jobs that are not worth running any more; how many were due.

        When none was: how long until one is, None when no job expires.
        """

    async def rescue_expired(self, limit: int) -> int:
        """End the attempts of expired workers as lost and move their jobs on at once.

        What their work still held is let go. Returns how many attempts were lost.
        """

    async def tend_flows(self, limit: int) -> int:
        """Let claims look only where they will find something; how many flows were changed.

        Empty queues sleep, and users whose queues no live worker serves; those that one serves
        again wake; the others learn where their first job stands. A job that comes meanwhile is
        never overlooked.
        """

    async def settle_dependencies(self, limit: int) -> int:
        """Move on, or cancel, what waited for jobs that have ended; how many of those were seen.

        What was canceled that way is blocked again when the job it waited for is retried. Up to
        `limit` dependencies of one user at a time; no two processes are at the same user, so that
        of two parents that end together the later one sees the other. To be called until it
        answers 0: what it cancels may itself be waited for.
        """

    async def fold_counters(self, limit: int) -> int:
        """Add up what statements noted about counts and waits."""

    async def make_partitions(self) -> None:
        """Have the day partitions of the coming days ready; a failure is logged.

        Raises:
            UnavailableError: when even today has none.
        """

    async def drop_empty_days(self) -> None:
        """Drop the partitions of days whose jobs are all forgotten: each costs every statement.

        Raises:
            UnavailableError: when others are too busy with them just now.
        """
