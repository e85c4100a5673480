"""The rows of the table, each with what it has to stand up to."""

from __future__ import annotations

from typing import Final

import msgspec

# The best of the peers that could be measured.
BEST: Final = "best"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A bound on our figure: absolute, or times that of a system or of another measure of ours.

    `times` names the other, or is BEST.
    """

    least: float | None = None
    most: float | None = None
    times: str = ""

    def bound(self) -> str:
        """In signs."""
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"

    def mark(self, value: float) -> str:
        """Whether a figure or ratio keeps it."""
        low, high = self.least, self.most
        met = (low is None or value >= low) and (high is None or value <= high)
        return "✓" if met else "✗"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A row; `title` is filled in with the sizes, `beside` is another measure of ours."""

    measure: str
    title: str
    unit: str
    beside: str = ""
    wanted: tuple[Wanted, ...] = ()


LINES: Final = (
    Line(
        measure="drain",
        title="{drained:,} queued no-op jobs drained by one worker process, one user",
        unit="jobs/s",
        wanted=(Wanted(least=4, times="pgqueuer"), Wanted(least=1.25, times="graphile_worker")),
    ),
    Line(
        measure="drain_many_users",
        title="the same, 100 users, beside one",
        unit="jobs/s",
        beside="drain",
    ),
    Line(
        measure="drain_by_two",
        title="{drained_by_two:,} queued jobs drained by two worker processes, beside one",
        unit="jobs/s",
        beside="drain_by_one",
        wanted=(Wanted(least=1.3, times="drain_by_one"),),
    ),
    Line(
        measure="waiting_many",
        title="drained with {waiting_many:,} waiting, beside {waiting_few:,}",
        unit="jobs/s",
        beside="waiting_few",
        wanted=(Wanted(least=0.9, times="waiting_few"),),
    ),
    Line(
        measure="waiting_most",
        title="drained with {waiting_most:,} waiting, beside {waiting_few:,}",
        unit="jobs/s",
        beside="waiting_few",
        wanted=(Wanted(least=0.9, times="waiting_few"),),
    ),
    Line(
        measure="drain_limited",
        title="{drained:,} queued jobs drained under `max_running`, beside no limit",
        unit="jobs/s",
        beside="drain_free",
        wanted=(Wanted(least=0.8, times="drain_free"),),
    ),
    Line(
        measure="drain_keyed",
        title="the same with one of 1,000 concurrency keys on each job",
        unit="jobs/s",
        beside="drain_free",
        wanted=(Wanted(least=0.8, times="drain_free"),),
    ),
    Line(
        measure="drain_paired",
        title="the same, every other job waiting for the one before it",
        unit="jobs/s",
        beside="drain_free",
    ),
    Line(
        measure="submit",
        title="single jobs from 32 callers: `POST /v1/jobs`, the others without HTTP",
        unit="jobs/s",
        wanted=(Wanted(least=0.5, times="hello"), Wanted(least=2, times="pgqueuer")),
    ),
    Line(
        measure="batch",
        title="1,000 jobs a call from 4 callers: `POST /v1/jobs/batch`, the others without HTTP",
        unit="jobs/s",
        wanted=(Wanted(least=1, times=BEST),),
    ),
    Line(
        measure="idle_p50",
        title="submission (ours over HTTP) to handler start, idle worker: median",
        unit="ms",
        wanted=(Wanted(most=1.3, times=BEST),),
    ),
    Line(
        measure="idle_p99",
        title="the same: 99th percentile",
        unit="ms",
        wanted=(Wanted(most=2, times=BEST),),
    ),
    Line(
        measure="behind_many_p99",
        title="a user's single job while another has {behind_many:,} of 5 ms waiting,"
        " beside {behind_few:,}: 99th percentile",
        unit="ms",
        beside="behind_few_p99",
        wanted=(Wanted(most=2, times="behind_few_p99"), Wanted(most=100)),
    ),
    Line(
        measure="behind_long",
        title="a user's single job while another's 60 s jobs fill the pool: the longest wait",
        unit="ms",
        wanted=(Wanted(most=1000),),
    ),
    Line(
        measure="jain",
        title="100 equally busy users: Jain's index of the worst 5 s",
        unit="",
        wanted=(Wanted(least=0.99),),
    ),
    Line(
        measure="weights",
        title="users of weight 3 and 1: jobs served to the one for each of the other",
        unit="",
        wanted=(Wanted(least=2.85, most=3.15),),
    ),
    Line(
        measure="steady_held",
        title="5,000 jobs/s submitted for {steady_s:g} s: served with a snapshot held open,"
        " beside without",
        unit="jobs/s",
        beside="steady",
        wanted=(Wanted(least=0.8, times="steady"),),
    ),
    Line(
        measure="drain_heard",
        title="{heard:,} queued jobs drained while somebody listens, beside nobody",
        unit="jobs/s",
        beside="drain_unheard",
        wanted=(Wanted(least=0.9, times="drain_unheard"),),
    ),
    Line(
        measure="waiting_many_memory",
        title="memory of a worker with {waiting_many:,} jobs waiting",
        unit="MB",
        wanted=(Wanted(most=200),),
    ),
    Line(
        measure="sockets_memory",
        title="memory of an API process with {sockets:,} live connections",
        unit="MB",
        wanted=(Wanted(most=300),),
    ),
)
