"""`make bench-compare AGAINST=../before`: this checkout beside another, by turns on one server.

The other is measured twice in each round: how far it is from itself is what the machine adds, and
a difference within that says nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import server
from benchmarks.places import ROOT
from benchmarks.processes import answer

ROUNDS: Final = 5
BEARABLE: Final = 0.03
# Whether more of a measure is better; the others of a turn are not judged.
MORE_IS_BETTER: Final = {"drain": True, "drain_many_users": True, "idle_p50": False}

Figures = Mapping[str, float]


class Compared(msgspec.Struct, frozen=True):
    """The values of every round: of the checkout before, of it again, and of this one."""

    before: Sequence[float]
    again: Sequence[float]
    after: Sequence[float]

    @property
    def ratio(self) -> float:
        """This checkout's median beside that of the one before."""
        return statistics.median(self.after) / statistics.median(self.before)

    @property
    def spread(self) -> float:
        """How far the medians of the same checkout are from each other, as a share."""
        return abs(statistics.median(self.again) / statistics.median(self.before) - 1)

    def loss(self, *, more_is_better: bool) -> float:
        """The share by which this checkout is worse; less than nothing where it is better."""
        return 1 - self.ratio if more_is_better else self.ratio - 1


def main() -> None:
    """Take the turns and print the table."""
    chosen = _arguments()
    checkouts = {"before": chosen.against, "again": chosen.against, "after": ROOT}
    taken: dict[str, list[Figures]] = {name: [] for name in checkouts}
    with server.started() as postgres:
        for number in range(chosen.rounds):
            # Each comes first as often as the others do.
            for name in _rotated(list(checkouts), number):
                taken[name].append(_turn(checkouts[name], postgres.dsn))
                print(f"round {number + 1}: {name}: {_told(taken[name][-1])}", flush=True)
    print(f"\n{table(taken)}")


def table(taken: Mapping[str, Sequence[Figures]]) -> str:
    """Medians, their ratio, and what the same checkout differs from itself by, in Markdown."""
    lines = [
        "| measure | before | before, again | after | ratio | spread | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for measure, more_is_better in MORE_IS_BETTER.items():
        compared = Compared(
            *([each[measure] for each in taken[name]] for name in ("before", "again", "after"))
        )
        passes = compared.loss(more_is_better=more_is_better) <= max(BEARABLE, compared.spread)
        medians = (
            f"{statistics.median(values):,.4g}"
            for values in (compared.before, compared.again, compared.after)
        )
        cells = (
            *(measure, *medians),
            *(f"{compared.ratio:.3f}", f"{compared.spread:.1%}", "✓" if passes else "✗"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--against", type=_checkout, required=True, help="another checkout")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"{ROUNDS} unless given")
    return parser.parse_args()


def _checkout(text: str) -> Path:
    folder = Path(text).resolve()
    if not _python(folder).exists():
        raise argparse.ArgumentTypeError(f"no environment in {folder}: run `make test` there once")
    return folder


def _python(checkout: Path) -> Path:
    return checkout / ".venv/bin/python"


def _turn(checkout: Path, dsn: str) -> Figures:
    """Measure with the modules of a checkout; -P keeps those beside the script out."""
    command = (_python(checkout), "-P", ROOT / "benchmarks/turn.py", dsn)
    return answer("turn", command, os.environ | {"PYTHONPATH": str(checkout)})


def _rotated(names: Sequence[str], by: int) -> list[str]:
    first = by % len(names)
    return [*names[first:], *names[:first]]


def _told(figures: Figures) -> str:
    return ", ".join(f"{measure} {value:,.4g}" for measure, value in figures.items())


if __name__ == "__main__":
    main()
