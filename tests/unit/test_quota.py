from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from internal.domain.quota import beyond, quota_exceeded


def test_the_first_jobs_get_the_room_and_the_others_are_refused() -> None:
    assert beyond(2, [None, None, None, None], frozenset()) == {2, 3}
    assert beyond(0, [None], frozenset()) == {0}
    assert beyond(-5, [None], frozenset()) == {0}


def test_a_job_that_exists_needs_no_room() -> None:
    assert beyond(1, ["old", "new", "old"], frozenset({"old"})) == set()
    assert beyond(0, ["old", "new"], frozenset({"old"})) == {1}


def test_jobs_that_share_a_key_need_room_once() -> None:
    assert beyond(1, ["k", "k", None], frozenset()) == {2}
    assert beyond(0, ["k", "k"], frozenset()) == {0, 1}


@given(
    st.integers(-2, 6),
    st.lists(st.sampled_from([None, "a", "b", "c"])),
    st.sampled_from([frozenset(), frozenset({"a"})]),
)
def test_what_is_admitted_fits_and_nothing_is_refused_while_there_is_room(
    room: int, keys: list[str | None], existing: frozenset[str]
) -> None:
    refused = beyond(room, keys, existing)
    admitted = [key for place, key in enumerate(keys) if place not in refused]
    new = admitted.count(None) + len({*admitted} - {None} - existing)
    assert new <= max(room, 0)
    assert not refused or new == max(room, 0)


def test_a_refusal_says_how_many_there_are_and_what_to_do() -> None:
    error = quota_exceeded(1_000, 1_000)
    assert "limit of 1,000 unfinished jobs, of which you have 1,000" in error.message
    assert "cancel" in error.message
    assert error.retry_after
