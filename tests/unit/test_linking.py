from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.domain import linking
from internal.domain.errors import ValidationError
from internal.domain.handlers import Handlers
from internal.domain.ids import new_id
from internal.domain.linking import circle, link
from internal.domain.submission import NewJob, Submission, accept
from tests.support.store import DEFAULTS


def batch(*jobs: dict[str, object]) -> tuple[list[Submission], list[NewJob]]:
    requests = [msgspec.convert({"type": "noop", **each}, Submission) for each in jobs]
    accepted = [
        accept(each, Handlers([]), DEFAULTS, index=index) for index, each in enumerate(requests)
    ]
    return requests, accepted


def test_names_become_ids_and_those_who_are_waited_for_are_marked() -> None:
    outside = new_id()
    last, first = link(
        *batch({"depends_on": ["@first", str(outside), "@first"]}, {"name": "first"})
    )
    assert last.parents == (outside, first.id)
    assert (last.awaited, first.awaited) == (False, True)


def test_a_circle_is_named_in_order_and_cut_when_it_is_long() -> None:
    size = 2 * linking.SHOWN
    jobs: list[dict[str, object]] = [
        {"name": str(n), "depends_on": [f"@{(n + 1) % size}"]} for n in range(size)
    ]
    with pytest.raises(ValidationError, match="@0 -> @1 -> @2") as refused:
        link(*batch(*jobs))
    assert refused.value.details[0].message.endswith("-> ...")


def test_too_many_dependencies_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "MOST_EDGES", 2)
    with pytest.raises(ValidationError, match="3 dependencies; at most 2"):
        link(
            *batch(
                {"name": "a"},
                {"name": "b", "depends_on": ["@a", str(new_id())]},
                {"depends_on": ["@b"]},
            )
        )


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=10, max_size=10))
def test_a_circle_is_found_whenever_there_is_one(waits: Sequence[Sequence[int]]) -> None:
    found = circle(waits)
    for each, following in zip(found, found[1:] + found[:1], strict=True):
        assert following in waits[each]
    assert bool(found) == any(_reaches(waits, each, each) for each in range(len(waits)))


def _reaches(waits: Sequence[Sequence[int]], start: int, end: int) -> bool:
    seen: set[int] = set()
    near = set(waits[start])
    while near - seen:
        seen |= near
        near = {parent for each in near for parent in waits[each]}
    return end in seen
