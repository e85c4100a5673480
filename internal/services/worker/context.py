"""What a handler sees of its attempt."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec

from internal.domain.handlers import Parent
from internal.services.worker.running import Running


class Context(msgspec.Struct, frozen=True, eq=False):
    """The `JobContext` of an attempt; it takes no attributes, so that none of ours is replaced."""

    _running: Running

    def __repr__(self) -> str:
        """Without the payload: handlers log their context."""
        return f"<attempt {self.attempt} of job {self.job_id}>"

    @property
    def job_id(self) -> UUID:
        """The job's id."""
        return self._running.job.id

    @property
    def user_id(self) -> UUID:
        """The user whose job it is."""
        return self._running.job.user_id

    @property
    def type(self) -> str:
        """The job's type."""
        return self._running.job.type

    @property
    def attempt(self) -> int:
        """Which start of the job this is, from 1."""
        return self._running.job.number

    @property
    def attempts(self) -> int:
        """Failed and lost attempts before this one."""
        return self._running.job.attempts

    @property
    def max_attempts(self) -> int:
        """After how many failures the job fails for good."""
        return self._running.job.max_attempts

    @property
    def parents(self) -> Mapping[str, Parent]:
        """The jobs that this one waited for."""
        return self._running.job.parents

    @property
    def canceled(self) -> bool:
        """Whether to stop: the owner asked, or what it does no longer counts."""
        return self._running.canceled

    def progress(self, share: float, note: str | None = None) -> None:
        """Report how much is done, from 0 to 1; called from any thread."""
        self._running.progress(share, note)

    def log(self, line: object) -> None:
        """Add a line to the attempt's log; called from any thread."""
        self._running.log(line)
