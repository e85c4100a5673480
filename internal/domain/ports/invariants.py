"""Looking for what must not be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from internal.domain.invariants import Breach


class Inspection(Protocol):
    """A look at the data as it is now, in many short statements, each seeing one moment."""

    def breaches(self) -> AsyncIterator[Sequence[Breach]]:
        """What breaks an invariant, statement by statement; most find nothing.

        Every lease is looked at. Of the rest, what is large is looked at in part: the newest
        jobs, and as many of those that wait, of the keys and of the queues.

        Raises:
            UnavailableError: when the database is away, or too busy for short statements.
        """
