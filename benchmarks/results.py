"""What a run found, kept as JSON."""

from __future__ import annotations

import statistics
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

OURS: Final = "windlass"


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured; a zero leaves something out."""

    rounds: int
    drained: int
    drained_by_two: int
    waiting_few: int
    waiting_many: int
    waiting_most: int
    window_s: float
    calling_s: float
    bulk: int
    started: int
    behind_few: int
    behind_many: int
    behind_samples: int
    shared: int
    shared_s: float
    steady_s: float
    sockets: int
    heard: int


QUICK: Final = Sizes(
    rounds=1,
    drained=50_000,
    drained_by_two=100_000,
    waiting_few=20_000,
    waiting_many=200_000,
    waiting_most=0,
    window_s=3,
    calling_s=2,
    bulk=20_000,
    started=40,
    behind_few=1_000,
    behind_many=50_000,
    behind_samples=100,
    shared=100_000,
    shared_s=7,
    steady_s=20,
    sockets=200,
    heard=50_000,
)
FULL: Final = Sizes(
    rounds=5,
    drained=100_000,
    drained_by_two=200_000,
    waiting_few=20_000,
    waiting_many=1_000_000,
    waiting_most=10_000_000,
    window_s=12,
    calling_s=5,
    bulk=50_000,
    started=100,
    behind_few=1_000,
    behind_many=1_000_000,
    behind_samples=300,
    shared=400_000,
    shared_s=20,
    steady_s=180,
    sockets=2_000,
    heard=200_000,
)


class Reading(msgspec.Struct):
    """One figure of one system, with the value of every run."""

    measure: str
    system: str
    values: list[float] = []
    details: list[dict[str, Any]] = []

    @property
    def median(self) -> float:
        """Of the runs."""
        return statistics.median(self.values)


class Results(msgspec.Struct, kw_only=True):
    """A run: what was measured, on what, and what could not be."""

    taken_at: datetime
    full: bool
    sizes: Sizes
    machine: dict[str, str]
    versions: dict[str, str]
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    readings: list[Reading] = []

    def add(self, measure: str, system: str, value: float, details: dict[str, Any]) -> None:
        """Note the value of one run."""
        reading = self.find(measure, system)
        if reading is None:
            reading = Reading(measure, system)
            self.readings.append(reading)
        reading.values.append(value)
        reading.details.append(details)

    def find(self, measure: str, system: str = OURS) -> Reading | None:
        """None for what was not measured."""
        wanted = (measure, system)
        return next((each for each in self.readings if (each.measure, each.system) == wanted), None)

    def of_others(self, measure: str) -> list[Reading]:
        """The same figure of every system but ours."""
        return [each for each in self.readings if each.measure == measure and each.system != OURS]


def save(results: Results, path: Path) -> None:
    """Write it, and the folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)))


def load(path: Path) -> Results:
    """Read what `save` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
