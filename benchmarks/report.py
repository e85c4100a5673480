"""The table: every measure beside what it has to stand up to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from benchmarks.peers.catalogue import PEERS
from benchmarks.results import OURS, Reading, Results
from benchmarks.server import OPTIONS

TITLES: Final = {
    OURS: "Windlass",
    "hello": "a route that does nothing",
    "postgresql": "PostgreSQL",
    "python": "Python",
    "node": "Node",
    **{peer.name: peer.title for peer in PEERS},
}
HEAD: Final = (
    "| measure | Windlass | beside it | ratio | wanted |\n| --- | ---: | --- | --- | --- |"
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A bound on our figure: absolute, or times that of a system or of another measure of ours.

    `best` stands for the best of the peers that could be measured.
    """

    least: float | None = None
    most: float | None = None
    times: str = ""

    def check(self, results: Results, ours: Reading) -> tuple[str, str] | None:
        """The ratio, and the bound with a mark; None when the other was not measured."""
        if not self.times:
            return "", f"{self._bound()} {self._mark(ours.median)}"
        other = _other(results, ours.measure, self.times, highest=self.least is not None)
        if other is None:
            return None
        ratio = ours.median / other.median
        name = TITLES[other.system] if other.measure == ours.measure else ""
        return f"{ratio:.2f} × {name}".strip(), f"{self._bound()} × {self._mark(ratio)}"

    def _bound(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"

    def _mark(self, value: float) -> str:
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


BEST: Final = "best"
LINES: Final = (
    Line(
        measure="drain",
        title="{drained:,} queued no-op jobs drained by one worker process, one user",
        unit="jobs/s",
        wanted=(Wanted(least=4, times="pgqueuer"), Wanted(least=1.25, times="graphile_worker")),
    ),
    Line(
        measure="drain_many_users",
        title="the same, 100 users",
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


def report(results: Results) -> str:
    """The table with what explains it, in Markdown."""
    rows = [row for line in LINES if (row := _row(results, line))]
    return "\n".join([HEAD, *rows, "", *_notes(results)])


def shown(value: float, unit: str) -> str:
    """A figure with three or four digits that mean something."""
    if unit == "jobs/s":
        text = f"{round(value, -2 if value >= 10_000 else -1):,.0f}"  # noqa: PLR2004 - five digits
    else:
        text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits
    return f"{text} {unit}".strip()


def _row(results: Results, line: Line) -> str:
    ours = results.find(line.measure)
    if ours is None:
        return ""
    title = line.title.format(**msgspec.structs.asdict(results.sizes))
    checks = [found for each in line.wanted if (found := each.check(results, ours))]
    cells = (
        title,
        shown(ours.median, line.unit),
        "; ".join(_beside(results, line)),
        ", ".join(ratio for ratio, _ in checks if ratio),
        ", ".join(bound for _, bound in checks),
    )
    return f"| {' | '.join(cells)} |"


def _beside(results: Results, line: Line) -> Iterator[str]:
    if (other := results.find(line.beside)) is not None:
        yield shown(other.median, line.unit)
    for reading in results.of_others(line.measure):
        yield f"{TITLES[reading.system]} {shown(reading.median, line.unit)}"


def _other(results: Results, measure: str, name: str, *, highest: bool) -> Reading | None:
    if name != BEST:
        return results.find(measure, name) or results.find(name)
    peers = [each for each in results.of_others(measure) if each.system != "hello"]
    choose = max if highest else min
    return choose(peers, key=lambda reading: reading.median) if peers else None


def _notes(results: Results) -> Iterator[str]:
    form = "full" if results.full else "quick"
    runs, machine = results.sizes.rounds, results.machine
    how = f"medians of {runs} runs by turns" if runs > 1 else "one run of each"
    yield (
        f"Taken on {results.taken_at:%Y-%m-%d} in the {form} form, {how}, on {machine['cores']}"
        f" cores and {machine['memory']} ({machine['system']}).\n"
    )
    versions = (f"{TITLES[name]} {each}" for name, each in results.versions.items())
    yield f"Versions: {', '.join(versions)}.\n"
    yield f"Settings: {'; '.join(_settings(results))}.\n"
    for name, reason in results.left_out.items():
        yield f"Left out: {TITLES[name]}: {reason}.\n"
    for name, reason in results.failed.items():
        yield f"Not measured: {name}: {reason}.\n"


def _settings(results: Results) -> Iterator[str]:
    """Those that differ from what each comes with."""
    yield f"PostgreSQL {_told(OPTIONS)}"
    for peer in PEERS:
        if peer.name in results.versions:
            yield f"{peer.title} {_told(peer.drain)}, for the latency {_told(peer.latency)}"


def _told(settings: Mapping[str, Any]) -> str:
    return " ".join(f"`{name}={value}`" for name, value in settings.items())
