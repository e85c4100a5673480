from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec
import pytest

from internal.domain.errors import ContentionError, TimedOutError, UnavailableError
from internal.domain.ids import new_id
from internal.domain.jobs import Outcome, Settlement, Status
from internal.domain.ports.work import Finish, Lease, LoggedLine
from internal.services.worker import completer as completer_module
from internal.services.worker import persistence as persistence_module
from internal.services.worker.completer import Completer
from tests.support.conditions import eventually
from tests.support.work import Ends


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence_module, "FIRST_PAUSE_S", 0.001)


def an_end(outcome: Outcome = Outcome.SUCCEEDED, result: str | None = None) -> Finish:
    return Finish(
        lease=Lease(new_id(), 2),
        outcome=outcome,
        settlement=Settlement(Status.SUCCEEDED, 1),
        ran_ms=0.0,
        ended=0.0,
        result=result,
    )


def a_talkative_end(text: str = "done") -> Finish:
    return msgspec.structs.replace(an_end(), lines=(LoggedLine(1, 0.0, text),))


async def recorded(ends: Ends, *handed_over: Finish) -> list[Outcome | None]:
    """What a completer made of these, which must live on after them."""
    completer = Completer(ends)
    living = asyncio.create_task(completer.run())
    for each in handed_over:
        await completer.put(each)
    await eventually(lambda: completer.unrecorded == set())
    await completer.put(an_end())
    await eventually(lambda: completer.unrecorded == set())
    assert not living.done()
    living.cancel()
    return [end.outcome for end in ends.recorded]


async def test_ends_wait_until_the_database_is_back() -> None:
    ends = Ends(UnavailableError(), UnavailableError())

    assert await recorded(ends, an_end(), an_end()) == [Outcome.SUCCEEDED] * 3


async def test_an_end_that_is_refused_is_recorded_without_its_data() -> None:
    refused = ValueError("not JSON")

    assert await recorded(Ends(refused), an_end()) == [Outcome.FAILED, Outcome.SUCCEEDED]


async def test_a_bare_end_waits_for_the_database_too() -> None:
    ends = Ends(ValueError("not JSON"), UnavailableError(), UnavailableError())

    assert await recorded(ends, an_end()) == [Outcome.FAILED, Outcome.SUCCEEDED]


async def test_an_end_that_is_refused_even_bare_does_not_hold_up_the_others() -> None:
    refused = [ValueError(f"refused {time}") for time in range(2)]

    assert await recorded(Ends(*refused), an_end()) == [Outcome.SUCCEEDED]


async def test_large_results_are_not_flushed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completer_module, "FLUSHED_CHARS", 100)
    ends = Ends()
    sizes = [200, 40, 40, 40, 1]

    await recorded(ends, *(an_end(result="x" * size) for size in sizes))

    assert ends.flushes == [1, 2, 2, 1]
    assert [len(end.result or "") for end in ends.recorded] == [*sizes, 0]


async def test_lines_are_written_before_the_ends_of_their_attempts() -> None:
    ends = Ends()
    completer = Completer(ends)
    silent, talkative = an_end(), a_talkative_end()
    await completer.put(silent)
    await completer.put(talkative)

    await completer.run_once()

    assert ends.calls == ["log", "finish"]
    assert ends.logged == [{talkative.lease: talkative.lines}]


async def test_lines_wait_for_the_database_and_so_do_the_ends() -> None:
    ends = Ends(UnavailableError(), UnavailableError())

    assert await recorded(ends, a_talkative_end()) == [Outcome.SUCCEEDED] * 2
    assert len(ends.logged) == 1


async def test_lines_that_are_refused_do_not_spoil_the_end() -> None:
    ends = Ends(ValueError("not a line"))

    assert await recorded(ends, a_talkative_end()) == [Outcome.SUCCEEDED] * 2
    assert ends.logged == []


async def test_many_lines_are_not_flushed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completer_module, "FLUSHED_CHARS", 100)
    monkeypatch.setattr(completer_module, "LINE_CHARS", 10)
    ends = Ends()

    await recorded(ends, *(a_talkative_end("x" * 30) for _ in range(3)))

    assert ends.flushes == [2, 1, 1]


async def test_what_is_being_recorded_counts_as_unrecorded_until_it_is() -> None:
    ends = Ends(*[UnavailableError()] * 1000)
    completer = Completer(ends)
    end = an_end()
    await completer.put(end)
    assert completer.unrecorded == {end.lease.job_id}
    living = asyncio.create_task(completer.run())
    await eventually(lambda: len(ends.faults) < 990)

    assert completer.unrecorded == {end.lease.job_id}
    ends.faults.clear()
    await completer.drained()
    assert completer.unrecorded == set()
    living.cancel()


async def test_successes_are_flushed_apart_from_the_others() -> None:
    ends = Ends()
    completer = Completer(ends)
    for outcome in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.RELEASED):
        await completer.put(an_end(outcome))

    await completer.run_once()

    assert ends.flushes == [2, 2]
    outcomes = [end.outcome for end in ends.recorded]
    assert outcomes == [Outcome.SUCCEEDED] * 2 + [Outcome.FAILED, Outcome.RELEASED]


async def test_a_lone_end_is_flushed_at_once_and_what_comes_meanwhile_together() -> None:
    ends = Slow()
    completer = Completer(ends)
    living = asyncio.create_task(completer.run())
    await completer.put(an_end())
    await ends.began.wait()
    for _ in range(5):
        await completer.put(an_end())
    ends.go_on.set()
    await completer.drained()
    living.cancel()

    assert ends.flushes == [1, 5]


async def test_who_hands_over_waits_while_too_much_is_pending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completer_module, "MAX_PENDING", 2)
    completer = Completer(Ends())
    await completer.put(an_end())
    await completer.put(an_end())
    waiting = asyncio.create_task(completer.put(an_end()))
    await asyncio.sleep(0)
    assert not waiting.done()

    await completer.run_once()
    await waiting

    assert len(completer.unrecorded) == 1


class Slow(Ends):
    """Begins to record, and goes on when told."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()

    async def finish(self, ends: Sequence[Finish]) -> set[UUID]:
        self.began.set()
        await self.go_on.wait()
        return await super().finish(ends)


class Picky(Ends):
    """Refuses every flush that holds one of these, or more than so many at once."""

    def __init__(self, *refused: UUID, at_most: int = 1_000_000) -> None:
        super().__init__()
        self.refused = set(refused)
        self.at_most = at_most
        self.tried: list[int] = []

    async def finish(self, ends: Sequence[Finish]) -> set[UUID]:
        self.tried.append(len(ends))
        if len(ends) > self.at_most:
            raise TimedOutError
        if any(end.lease.job_id in self.refused and end.error is None for end in ends):
            raise ValueError("not JSON")
        return await super().finish(ends)


@pytest.mark.parametrize("place", [0, 63, 127])
async def test_a_bad_end_is_found_by_halves_and_the_others_go_together(place: int) -> None:
    handed_over = [an_end() for _ in range(128)]
    bad = handed_over[place].lease.job_id
    ends = Picky(bad)

    outcomes = await recorded(ends, *handed_over)

    assert outcomes.count(Outcome.SUCCEEDED) == 128
    assert [end.lease.job_id for end in ends.recorded if end.outcome is Outcome.FAILED] == [bad]
    assert len(ends.tried) <= 2 * 7 + 4


async def test_several_bad_ends_are_found_without_trying_each_of_the_others_alone() -> None:
    handed_over = [an_end() for _ in range(128)]
    bad = {handed_over[place].lease.job_id for place in (3, 77, 78)}
    ends = Picky(*bad)

    outcomes = await recorded(ends, *handed_over)

    assert outcomes.count(Outcome.FAILED) == 3
    assert outcomes.count(Outcome.SUCCEEDED) == 126
    assert len(ends.tried) < 64


@pytest.mark.parametrize("at_most", [1, 10, 50])
async def test_a_flush_that_takes_too_long_is_made_smaller(at_most: int) -> None:
    ends = Picky(at_most=at_most)

    await recorded(ends, *(an_end() for _ in range(100)))

    assert len(ends.recorded) == 101
    assert max(ends.flushes) <= at_most
    assert len(ends.flushes) <= 4 * 100 / at_most


class Stuck(Ends):
    """Takes too long for one of them until it is told to go on."""

    def __init__(self, stuck: UUID) -> None:
        super().__init__()
        self.stuck: UUID | None = stuck

    async def finish(self, ends: Sequence[Finish]) -> set[UUID]:
        if any(end.lease.job_id == self.stuck for end in ends):
            raise TimedOutError
        return await super().finish(ends)


async def test_an_end_that_waits_for_a_lock_does_not_hold_up_the_others() -> None:
    handed_over = [an_end() for _ in range(20)]
    stuck = handed_over[0].lease.job_id
    ends = Stuck(stuck)
    completer = Completer(ends)
    living = asyncio.create_task(completer.run())
    for each in handed_over:
        await completer.put(each)

    await eventually(lambda: len(ends.recorded) == 19)
    assert completer.unrecorded == {stuck}
    ends.stuck = None
    await completer.drained()
    assert len(ends.recorded) == 20
    living.cancel()


async def test_contention_is_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence_module, "FIRST_PAUSE_S", 3600)
    ends = Ends(ContentionError(), ContentionError())

    assert await recorded(ends, an_end()) == [Outcome.SUCCEEDED] * 2


async def test_each_new_reason_of_waiting_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    away, full = UnavailableError(), UnavailableError()
    away.__cause__, full.__cause__ = ConnectionRefusedError("refused"), OSError("no space left")

    await recorded(Ends(away, away, away, full, full), an_end(), an_end())

    lines = [(each.getMessage(), each.__dict__["reason"]) for each in caplog.records]
    assert lines == [
        ("2 ends wait for the database", "ConnectionRefusedError: refused"),
        ("2 ends wait for the database", "OSError: no space left"),
    ]
