"""The arithmetic behind the table of `make bench`."""

from datetime import UTC, datetime

import pytest

from benchmarks.compare import MORE_IS_BETTER, Compared, table
from benchmarks.figures import jain, percentile, windows
from benchmarks.lines import Wanted
from benchmarks.report import check, report
from benchmarks.results import FULL, OURS, Results


def a_run(**runs: list[float]) -> Results:
    """Drains of these systems, a value for each run."""
    results = Results(
        taken_at=datetime(2026, 1, 1, tzinfo=UTC),
        full=True,
        sizes=FULL,
        machine={"cores": "2", "memory": "24 GiB", "system": "Linux"},
        versions={OURS: "1.0"},
        left_out={"oban": "it needs Python 3.12"},
    )
    for system, values in runs.items():
        for value in values:
            results.add("drain", system, value, {})
    return results


def marks(results: Results, wanted: Wanted) -> tuple[str, str] | None:
    ours = results.find("drain")
    assert ours is not None
    return check(results, ours, wanted)


def test_a_figure_is_the_median_of_its_runs() -> None:
    assert "| 45,000 jobs/s |" in report(a_run(windlass=[90_000, 45_000, 1]))


def test_a_ratio_is_one_of_medians() -> None:
    results = a_run(windlass=[80, 60, 40], pgqueuer=[10, 15, 90])
    assert marks(results, Wanted(least=4, times="pgqueuer")) == ("4.00 × PgQueuer", "≥ 4 × ✓")
    assert marks(results, Wanted(least=4.1, times="pgqueuer")) == ("4.00 × PgQueuer", "≥ 4.1 × ✗")


def test_the_best_peer_is_the_one_that_is_hardest_to_beat() -> None:
    results = a_run(windlass=[20], hello=[99], pgqueuer=[10], pg_boss=[40])
    assert marks(results, Wanted(least=1, times="best")) == ("0.50 × pg-boss", "≥ 1 × ✗")
    assert marks(results, Wanted(most=3, times="best")) == ("2.00 × PgQueuer", "≤ 3 × ✓")


def test_a_bound_beside_what_was_not_measured_is_left_out() -> None:
    assert marks(a_run(windlass=[1]), Wanted(least=4, times="pgqueuer")) is None


def test_what_could_not_be_installed_is_named() -> None:
    assert "Left out: Oban (Python): it needs Python 3.12." in report(a_run())


@pytest.mark.parametrize(
    ("shares", "index"), [([7, 7, 7], 1), ([1, 0, 0, 0], 0.25), ([3, 1], 0.8), ([0, 0], 0)]
)
def test_jains_index(shares: list[int], index: float) -> None:
    assert jain(shares) == pytest.approx(index)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    assert percentile([7], 0.5) == 7


def test_windows_overlap_and_count_idle_slots() -> None:
    assert windows({0: 1, 1: 2, 3: 4}, width=2, count=4) == [3, 2, 4]


def compared(before: float, again: float, after: float) -> str:
    """The row of the drain, and whether it passes, when every round gives these."""
    names = {"before": before, "again": again, "after": after}
    taken = {name: [dict.fromkeys(MORE_IS_BETTER, value)] * 3 for name, value in names.items()}
    return table(taken).splitlines()[2]


def test_a_checkout_may_lose_three_in_a_hundred() -> None:
    assert compared(100, 100, 98).endswith("| 0.980 | 0.0% | ✓ |")
    assert compared(100, 100, 96).endswith("| 0.960 | 0.0% | ✗ |")


def test_a_loss_within_what_the_same_checkout_differs_by_passes() -> None:
    assert compared(100, 105, 96).endswith("| 0.960 | 5.0% | ✓ |")
    assert compared(100, 95, 94).endswith("| 0.940 | 5.0% | ✗ |")


def test_more_is_worse_of_a_latency() -> None:
    taken = {"before": [5.0], "again": [5.0], "after": [6.0]}
    assert Compared(**taken).loss(more_is_better=False) == pytest.approx(0.2)
    assert Compared(**taken).loss(more_is_better=True) == pytest.approx(-0.2)
