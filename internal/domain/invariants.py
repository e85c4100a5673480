"""What always holds, whatever crashes when."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from internal.domain.times import Moment


class How(StrEnum):
    """On what grounds an invariant is said to hold."""

    CHECKED = "checked"
    CONSTRAINT = "constraint"
    TEST = "test"


class Invariant(msgspec.Struct, frozen=True):
    """A promise; `proof` are the tests of what no look at the data can show."""

    number: int
    promise: str
    proof: tuple[str, ...] = ()

    @property
    def how(self) -> How:
        """Proven by its tests, or else checked on the data."""
        return How.TEST if self.proof else How.CHECKED

    @property
    def statement(self) -> str:
        """The promise, and where it is proven."""
        if not self.proof:
            return self.promise
        return f"{self.promise} (proven by {' and '.join(self.proof)})"


class Breach(msgspec.Struct, frozen=True):
    """Something that breaks the invariant of this number."""

    number: int
    what: str


class Finding(msgspec.Struct, frozen=True):
    """How an invariant stands; `violations` names the first that break it, and counts the rest."""

    number: int
    statement: str
    how: How
    holds: bool
    violations: tuple[str, ...]
    checked_at: Moment


STORE: Final = "tests/integration/test_store.py"
HISTORIES: Final = "tests/integration/test_histories.py"
CRASHES: Final = "tests/e2e/test_crashes.py"

INVARIANTS: Final = (
    Invariant(1, "a job acknowledged to the client is there after any crash", (CRASHES,)),
    Invariant(2, "at most one valid lease per job, its token larger than every earlier one"),
    Invariant(3, "a write with an old token changes nothing", (STORE, HISTORIES)),
    Invariant(
        4,
        "the number running is the number of live leases, no counter drifts from it, and a place is"
        " held beyond its lease only by the work of a live process",
    ),
    Invariant(5, "a finished job moves only by an explicit retry", (HISTORIES,)),
    Invariant(
        6,
        "every job stands in exactly one state table, and every unfinished one with what it waits"
        " for: a due time, a place in line, a live lease, the end of its last attempt's work, or an"
        " unfinished dependency",
    ),
    Invariant(
        7,
        "attempts never exceed max_attempts, and what is on record is what was used up",
    ),
    Invariant(
        8, "one idempotency key is one job, and each slot of a schedule has a key of its own"
    ),
    Invariant(9, "nothing crosses users: a job, its place, history, key and queue have one owner"),
)
