"""Jobs that are claimed but not started: a small store, served in fair order."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from time import monotonic
from uuid import UUID

from internal.domain.ports.work import ClaimedJob
from internal.domain.shares import fair_share, may_start, reserved_slots
from internal.services.worker.running import Identity, Running, Tenant


class Buffer:
    """Gives the job with the lowest tag, whenever it was claimed; minds the reserve."""

    def __init__(self, slots: int, reserve: float, clock: Callable[[], float] = monotonic) -> None:
        """`reserve` is the part of the slots for users who run less than their fair share."""
        self.reserved = reserved_slots(slots, reserve)
        self._slots = slots
        self._clock = clock
        self._numbers = count()
        self._tenants: dict[UUID, Tenant] = {}
        self._weights = 0.0
        # A heap with an entry for each tenant who waits, by the tag of its first job; those who run
        # too much for the reserve stand aside until that changes, so that no pop passes them again.
        self._line: list[tuple[float, int, Tenant]] = []
        self._aside: set[Tenant] = set()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, identity: Identity, jobs: Iterable[ClaimedJob]) -> None:
        """Keep claimed jobs until slots are free for them."""
        now = self._clock()
        for job in jobs:
            tenant = self._tenants.get(job.user_id) or self._enter(job)
            running = identity.held[job.id] = Running(job, identity, tenant, now)
            if not tenant.waiting:
                heapq.heappush(self._line, (job.tag, tenant.number, tenant))
            tenant.waiting.append(running)
            self._size += 1

    def pop(self, free: int) -> Running | None:
        """Take the next job that may start while so many slots are free; it counts as running."""
        if free <= 0:
            return None
        if free > self.reserved:
            self._line_up_again()
        else:
            while self._line and not self._may_start(self._line[0][2], free):
                self._aside.add(heapq.heappop(self._line)[2])
        return self._start_first() if self._line else None

    def ended(self, running: Running) -> None:
        """A job that was taken by `pop` has ended."""
        tenant = running.tenant
        tenant.running -= 1
        if tenant in self._aside:
            self._aside.remove(tenant)
            self._line_up(tenant)
        self._let_leave(tenant)

    def above_share(self) -> list[UUID]:
        """The users who run too much to start anything on the reserve."""
        tenants = (each for each in self._tenants.values() if each.running)
        return [each.user_id for each in tenants if not self._may_start(each, self.reserved)]

    def take(self, ids: frozenset[UUID]) -> list[Running]:
        """Take out those of these jobs that still wait here."""
        return self._take(lambda running: running.job.id in ids)

    def take_held_under(self, identity: Identity) -> list[Running]:
        """Take out what waits under a name."""
        return self._take(lambda running: running.identity is identity)

    def take_older_than(self, seconds: float) -> list[Running]:
        """Take out what was claimed that long ago."""
        before = self._clock() - seconds
        return self._take(lambda running: running.claimed <= before)

    def _enter(self, job: ClaimedJob) -> Tenant:
        tenant = Tenant(next(self._numbers), job.user_id, job.weight)
        self._tenants[job.user_id] = tenant
        self._weights += job.weight
        return tenant

    def _let_leave(self, tenant: Tenant) -> None:
        if not tenant.running and not tenant.waiting:
            del self._tenants[tenant.user_id]
            # Exact again when all have left, however the sums were rounded.
            self._weights = self._weights - tenant.weight if self._tenants else 0.0
            self._line_up_again()  # the others' shares have grown

    def _line_up(self, tenant: Tenant) -> None:
        heapq.heappush(self._line, (tenant.waiting[0].job.tag, tenant.number, tenant))

    def _line_up_again(self) -> None:
        while self._aside:
            self._line_up(self._aside.pop())

    def _start_first(self) -> Running:
        tenant = self._line[0][2]
        running = tenant.waiting.popleft()
        tenant.running += 1
        self._size -= 1
        if tenant.waiting:
            entry = (tenant.waiting[0].job.tag, tenant.number, tenant)
            heapq.heapreplace(self._line, entry)
        else:
            heapq.heappop(self._line)
        return running

    def _may_start(self, tenant: Tenant, free: int) -> bool:
        share = fair_share(self._slots, tenant.weight, self._weights)
        return may_start(free=free, reserve=self.reserved, running=tenant.running, share=share)

    def _take(self, wanted: Callable[[Running], bool]) -> list[Running]:
        taken: list[Running] = []
        self._line_up_again()
        for _, _, tenant in self._line:
            found = [running for running in tenant.waiting if wanted(running)]
            if found:
                taken += found
                tenant.waiting = deque(each for each in tenant.waiting if not wanted(each))
                self._let_leave(tenant)
        for running in taken:
            del running.identity.held[running.job.id]
        self._size -= len(taken)
        waiting = (tenant for _, _, tenant in self._line if tenant.waiting)
        self._line = [(each.waiting[0].job.tag, each.number, each) for each in waiting]
        heapq.heapify(self._line)
        return taken
