"""What users of a history submit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from internal.domain.declaring import handler
from internal.domain.handlers import Handlers, JobContext
from internal.domain.submission import NewJob, Submission, accept
from tests.support.machine.world import OLD_DAYS
from tests.support.store import DEFAULTS, id_of_day

HOUR: Final = timedelta(hours=1)
HOUR_MS: Final = HOUR // timedelta(milliseconds=1)
KEYS: Final = ("a", "b", "c", "d")


@handler("pooled")
def _pooled(payload: dict[str, Any], ctx: JobContext) -> None:
    """A type that workers have; jobs of the other one wait in a line of its own."""


HANDLERS: Final = Handlers([_pooled])
TYPES: Final = ("pooled", "pulled")
# Also of jobs that saw too many workers end.
ROUTES: Final = ("default", "pull:pulled", "alone:default", "alone:pull:pulled")


class Wanted(msgspec.Struct, frozen=True):
    """A request before its time is known; short to read in a history."""

    type: str
    queue: str = "default"
    priority: str = "medium"
    max_attempts: int = 2
    n: int = 0
    key: str | None = None

    def fields(self, hours: int) -> dict[str, Any]:
        """As it is sent; each that is for later is another request, as its time is."""
        fields: dict[str, Any] = {
            "type": self.type,
            "queue": self.queue,
            "priority": self.priority,
            "max_attempts": self.max_attempts,
            "payload": {"n": self.n},
            "backoff": {"strategy": "fixed", "base_ms": HOUR_MS, "max_ms": HOUR_MS},
        }
        if self.key is not None:
            fields["idempotency_key"] = self.key
        if hours:
            fields["run_at"] = datetime.now(UTC) + hours * HOUR
        return fields


# What is simplest comes first: Hypothesis simplifies that way.
requests: Final = st.builds(
    Wanted,
    type=st.sampled_from(TYPES),
    queue=st.sampled_from(["default", "other"]),
    priority=st.sampled_from(["medium", "high", "low"]),
    max_attempts=st.integers(1, 3),
    n=st.integers(0, 1),
    key=st.sampled_from([None, None, *KEYS]),
)


def new_job(index: int, fields: dict[str, Any], *, is_old: bool) -> NewJob:
    """The job of a request; an old one has an id of days ago."""
    request = msgspec.json.decode(msgspec.json.encode(fields), type=Submission)
    job = accept(request, HANDLERS, DEFAULTS, index=index)
    return msgspec.structs.replace(job, id=id_of_day(OLD_DAYS)) if is_old else job
