"""The picture: bars for what every system was measured at, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

import msgspec

from benchmarks.report import TITLES, shown
from benchmarks.results import OURS, Reading, Results

WIDTH: Final = 760
LABELS: Final = 190
BARS: Final = 430
ROW: Final = 22
HEADING: Final = 40
STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .heading { font-weight: 600 }
  .others { fill: #8c959f }
  .ours { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .others { fill: #6e7681 }
    .ours { fill: #4493f8 }
  }
"""


class Panel(msgspec.Struct, frozen=True):
    """One measure that everybody has a figure in."""

    measure: str
    heading: str
    unit: str


PANELS: Final = (
    Panel("drain", "Queued no-op jobs run by one worker process", "jobs/s"),
    Panel("submit", "Single jobs taken in from 32 callers (Windlass over HTTP)", "jobs/s"),
    Panel("batch", "Jobs taken in, a thousand a call (Windlass over HTTP)", "jobs/s"),
    Panel("idle_p50", "Submission to start, median: shorter is better (Windlass over HTTP)", "ms"),
)


def picture(results: Results) -> str:
    """An SVG of the panels that were measured."""
    drawn: list[str] = []
    top = 0
    for panel in PANELS:
        if readings := _sorted(results, panel):
            drawn += _panel(panel, readings, top)
            top += HEADING + ROW * len(readings)
    title = "Windlass beside other queues on one PostgreSQL server"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            *drawn,
            "</svg>\n",
        ]
    )


def _sorted(results: Results, panel: Panel) -> list[Reading]:
    """The best on top; what is no queue is left out."""
    found = [results.find(panel.measure), *results.of_others(panel.measure)]
    queues = [each for each in found if each is not None and each.system != "hello"]
    return sorted(queues, key=lambda each: each.median, reverse=panel.unit == "jobs/s")


def _panel(panel: Panel, readings: list[Reading], top: int) -> Iterator[str]:
    longest = max(each.median for each in readings)
    yield _text(0, top + HEADING - 14, panel.heading, kind="heading")
    for number, reading in enumerate(readings):
        y = top + HEADING + ROW * number
        width = max(1, round(BARS * reading.median / longest))
        kind = "ours" if reading.system == OURS else "others"
        yield _text(0, y + 13, TITLES[reading.system])
        yield f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{width}" height="16" rx="2"/>'
        yield _text(LABELS + width + 8, y + 13, shown(reading.median, panel.unit))


def _text(x: int, y: int, text: str, *, kind: str = "label") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'
