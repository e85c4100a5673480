"""An attempt from its claim to its end, and whose it is."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final
from uuid import UUID

import msgspec

from internal.domain.attempt_log import MAX_LINE_CHARS, MAX_NOTE_CHARS, kind_of, share_of, text_of
from internal.domain.blame import Suspicion
from internal.domain.ids import new_worker_id
from internal.domain.ports.work import ClaimedJob, Lease, LoggedLine, Progress
from internal.services.worker.attempt_log import AttemptLog

NEVER: Final = math.inf
# How long an attempt that was told to stop may take before it counts as hung.
PATIENCE_S: Final = 1.0

_log = logging.getLogger(__name__)


class Tenant:
    """A user who runs or waits in this process; its jobs wait in the order they were claimed."""

    __slots__ = ("number", "running", "user_id", "waiting", "weight")

    def __init__(self, number: int, user_id: UUID, weight: float) -> None:
        """`number` is unlike that of any other: it decides where tags are equal."""
        self.number = number
        self.user_id = user_id
        self.weight = weight
        self.running = 0
        self.waiting: deque[Running] = deque()


class Running(msgspec.Struct, eq=False):
    """One attempt, buffered or in progress; its handler sees it through a `Context`.

    `claimed`, `started`, `ended` and `deadline` are readings of the monotonic clock; 0 is not yet.
    """

    # A struct, since one is made for each job: setting these in Python takes twice as long.
    job: ClaimedJob
    identity: Identity
    tenant: Tenant
    claimed: float
    started: float = 0.0
    ended: float = 0.0
    deadline: float = NEVER
    cancel_requested: bool = False
    abandoned: bool = False
    lost: bool = False
    stopped: bool = False
    suspicion: Suspicion = Suspicion.NONE
    timed_out: bool = False
    report: Progress | None = None
    report_noted: Progress | None = None
    lines: AttemptLog | None = None
    task: asyncio.Task[None] | None = None
    # Done when the threads that work for it have ended: a sync handler's, or those of an async one.
    thread: asyncio.Future[Any] | None = None
    # Native, of the thread that began last.
    thread_id: int = 0

    @property
    def lease(self) -> Lease:
        """The right to record how it ends."""
        return self.job.lease

    @property
    def job_id(self) -> UUID:
        """The job's id."""
        return self.job.id

    @property
    def user_id(self) -> UUID:
        """The user whose job it is."""
        return self.job.user_id

    @property
    def type(self) -> str:
        """The job's type."""
        return self.job.type

    @property
    def attempts(self) -> int:
        """Failed and lost attempts before this one."""
        return self.job.attempts

    @property
    def canceled(self) -> bool:
        """Whether to stop: the owner asked, or what it does no longer counts."""
        return self.cancel_requested or self.was_told

    def progress(self, share: float, note: str | None = None) -> None:
        """Report how much is done, from 0 to 1; called from any thread."""
        done = share_of(share)
        if note is not None:
            note = text_of(note, MAX_NOTE_CHARS)
        elif self.report is not None:
            note = self.report.note
        self.report = Progress(done, note)

    def log(self, line: object) -> None:
        """Add a line to the attempt's log; called from any thread."""
        (self.lines or self._begin_lines()).add(text_of(line, MAX_LINE_CHARS))

    def _begin_lines(self) -> AttemptLog:
        with self.identity.first_lines:
            self.lines = self.lines or AttemptLog()
        return self.lines

    def last_lines(self) -> Sequence[LoggedLine]:
        """Those that its end has to bring along."""
        return () if self.lines is None else self.lines.close()

    def begin(self) -> None:
        """The handler is called now."""
        self.started = monotonic()
        self.deadline = self.started + self.job.timeout_ms / 1000

    def end(self) -> None:
        """The handler has ended; from now on its time cannot run out."""
        self.ended = monotonic()
        self.deadline = NEVER

    @property
    def was_told(self) -> bool:
        """Whether it was told to stop."""
        return self.stopped or self.timed_out

    @property
    def works_on(self) -> bool:
        """Whether a thread of its goes on, as nothing can stop it."""
        return self.thread is not None and not self.thread.done()

    def stop(self, suspicion: Suspicion = Suspicion.NONE) -> None:
        """Stop it; a task that is canceled before its first step would never get to its end.

        Args:
            suspicion: that its job has sent the signal that told its process to end.
        """
        self.stopped = True
        self.suspicion = suspicion
        if self.started and self.task is not None:
            self._tell()

    def time_out(self) -> None:
        """Stop it since its time is up."""
        self.timed_out = True
        self._tell()

    def abandon(self) -> None:
        """It has not stopped: what becomes of it does not count any more."""
        self.end()
        self.abandoned = True
        self._cancel_task()

    def _tell(self) -> None:
        self.deadline = monotonic() + PATIENCE_S
        self._cancel_task()

    def _cancel_task(self) -> None:
        if self.task is None:
            return
        try:
            self.task.cancel()
        except BaseException as error:  # noqa: BLE001 - what it awaits may be an author's own future
            job = {"job_id": str(self.job_id), "type": self.type, "error": kind_of(error)}
            _log.warning("a handler could not be told to stop", extra=job)


class Identity:
    """A name under which leases are held; `renewed` is when its last good heartbeat began.

    `held` are the jobs that are buffered or run under it. Once it is given up, `ending` are those
    whose ends may not be recorded yet. `hung` are attempts that ended, and their work did not.
    """

    def __init__(self) -> None:
        self.id = new_worker_id()
        self.renewed = monotonic()
        self.lost = False
        self.given_up = NEVER
        self.held: dict[UUID, Running] = {}
        self.ending: set[UUID] = set()
        self.hung: set[Running] = set()
        # Two threads of an attempt may log its first line at once, which begins its log.
        self.first_lines = threading.Lock()
