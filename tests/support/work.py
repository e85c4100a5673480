"""The ports of a worker, small enough to be played by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from internal.domain.ids import new_id
from internal.domain.ports.work import Beat, ClaimedJob, Finish, Lease
from internal.domain.retry import Backoff, Strategy


def a_claimed_job(type_: str = "noop", timeout_ms: int = 60_000) -> ClaimedJob:
    return ClaimedJob(
        id=new_id(),
        user_id=new_id(),
        token=2,
        type=type_,
        payload="{}",
        number=1,
        attempts=0,
        max_attempts=3,
        backoff=Backoff(Strategy.FIXED, base_ms=1, max_ms=1),
        timeout_ms=timeout_ms,
        tag=0.0,
        weight=1.0,
    )


class Ends:
    """Finishes: keeps what it is given, after raising each of `faults` once."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.recorded: list[Finish] = []
        self.flushes: list[int] = []
        self.handed_back: list[Lease] = []

    async def finish(self, ends: Sequence[Finish]) -> set[UUID]:
        self._meet_fault()
        self.recorded += ends
        self.flushes.append(len(ends))
        return {end.lease.job_id for end in ends}

    async def hand_back(self, leases: Sequence[tuple[Lease, int]]) -> None:
        self._meet_fault()
        self.handed_back += [lease for lease, _ in leases]

    async def progress(self, shares: Mapping[Lease, float]) -> None:
        self._meet_fault()

    def _meet_fault(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


class Names:
    """Workers: notes the beats; a name in `failing` raises what stands there."""

    def __init__(self) -> None:
        self.beats: list[tuple[str, list[UUID] | None]] = []
        self.left: list[str] = []
        self.failing: dict[str, Exception] = {}

    async def register(
        self, worker_id: str, ttl: timedelta, slots: int, routes: Sequence[str]
    ) -> None: ...

    async def beat(
        self, worker_id: str, ttl: timedelta, held: Sequence[UUID] | None = None
    ) -> Beat:
        self.beats.append((worker_id, None if held is None else list(held)))
        if worker_id in self.failing:
            raise self.failing[worker_id]
        return Beat(alive=True)

    async def leave(self, worker_id: str) -> None:
        self.left.append(worker_id)
