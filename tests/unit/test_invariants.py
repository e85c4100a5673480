from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from internal.domain.accounts import Actor, Role
from internal.domain.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from internal.domain.invariants import INVARIANTS, Breach
from internal.services.invariants import KEPT, Invariants
from tests.support.conditions import eventually
from tests.support.people import People

ROOT = Path(__file__).parents[2]
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
ACTOR = Actor(user_id=uuid4(), session_id=uuid4(), token_expires_at=BEGIN)


class Looks:
    """Inspection: counts the looks; each waits until it is let go, and then raises `fault` once."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.fault: Exception | None = None

    async def breaches(self) -> AsyncIterator[Sequence[Breach]]:
        self.begun += 1
        await self.go.wait()
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        yield []
        yield [Breach(6, f"job {self.begun} stands nowhere")]


class Clock:
    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def looks() -> Looks:
    looks = Looks()
    looks.go.set()
    return looks


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def invariants(looks: Looks, clock: Clock) -> Invariants:
    return Invariants(looks, People(Role.ADMIN), clock)


async def test_a_report_names_what_is_broken_and_only_that(invariants: Invariants) -> None:
    report = {each.number: each for each in await invariants.report(ACTOR)}
    assert list(report) == list(range(1, 10))
    assert [number for number, each in report.items() if not each.holds] == [6]
    assert report[6].violations == ("job 1 stands nowhere",)
    assert report[6].checked_at == BEGIN


async def test_an_answer_is_kept_for_a_while(
    invariants: Invariants, looks: Looks, clock: Clock
) -> None:
    first = await invariants.report(ACTOR)
    clock.now += KEPT - timedelta(milliseconds=1)
    assert await invariants.report(ACTOR) == first
    clock.now += timedelta(milliseconds=1)
    assert (await invariants.report(ACTOR))[0].checked_at == clock.now
    assert looks.begun == 2


async def test_those_who_ask_at_once_share_one_look(invariants: Invariants, looks: Looks) -> None:
    looks.go.clear()
    asking = [asyncio.create_task(invariants.report(ACTOR)) for _ in range(3)]
    await eventually(lambda: looks.begun > 0)
    looks.go.set()
    first, *others = await asyncio.gather(*asking)
    assert others == [first, first]
    assert looks.begun == 1


async def test_a_look_that_failed_is_not_kept(invariants: Invariants, looks: Looks) -> None:
    looks.fault = UnavailableError()
    with pytest.raises(UnavailableError):
        await invariants.report(ACTOR)
    assert await invariants.report(ACTOR)


@pytest.mark.parametrize(
    ("role", "refusal"), [(Role.USER, ForbiddenError), (None, UnauthenticatedError)]
)
async def test_who_is_no_admin_is_refused_before_anything_is_looked_at(
    looks: Looks, clock: Clock, role: Role | None, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        await Invariants(looks, People(role), clock).report(ACTOR)
    assert looks.begun == 0


async def test_who_was_an_admin_is_refused_the_kept_answer(looks: Looks, clock: Clock) -> None:
    people = People(Role.ADMIN)
    invariants = Invariants(looks, people, clock)
    await invariants.report(ACTOR)
    people.role = Role.USER
    with pytest.raises(ForbiddenError):
        await invariants.report(ACTOR)


def test_what_proves_an_invariant_is_there() -> None:
    proofs = [ROOT / each for invariant in INVARIANTS for each in invariant.proof]
    assert [str(proof) for proof in proofs if not proof.exists()] == []
