"""The table: every measure beside what it has to stand up to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from benchmarks.lines import BEST, LINES, Line, Wanted
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


def report(results: Results) -> str:
    """The table with what explains it, in Markdown."""
    return "\n".join([table(results), "", *_notes(results)])


def table(results: Results) -> str:
    """Every measure that was taken, in Markdown."""
    return "\n".join([HEAD, *(row for line in LINES if (row := _row(results, line)))])


def check(results: Results, ours: Reading, wanted: Wanted) -> tuple[str, str] | None:
    """The ratio, and the bound with a mark; None when the other was not measured."""
    if not wanted.times:
        return "", f"{wanted.bound()} {wanted.mark(ours.median)}"
    other = _other(results, ours.measure, wanted)
    if other is None:
        return None
    ratio = ours.median / other.median
    name = TITLES[other.system] if other.measure == ours.measure else ""
    return f"{ratio:.2f} × {name}".strip(), f"{wanted.bound()} × {wanted.mark(ratio)}"


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
    checks = [found for each in line.wanted if (found := check(results, ours, each))]
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


def _other(results: Results, measure: str, wanted: Wanted) -> Reading | None:
    if wanted.times != BEST:
        return results.find(measure, wanted.times) or results.find(wanted.times)
    peers = [each for each in results.of_others(measure) if each.system != "hello"]
    hardest = min if wanted.least is None else max
    return hardest(peers, key=lambda reading: reading.median) if peers else None


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
        yield f"No figure for {name}: {reason}.\n"


def _settings(results: Results) -> Iterator[str]:
    """Those that differ from what each comes with."""
    yield f"PostgreSQL {_told(OPTIONS)}"
    for peer in PEERS:
        if peer.name in results.versions:
            yield f"{peer.title} {_told(peer.drain)}, for the latency {_told(peer.latency)}"


def _told(settings: Mapping[str, Any]) -> str:
    return " ".join(f"`{name}={value}`" for name, value in settings.items())
