"""The time that counts: the database's."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The database's clock beside this machine's."""

    async def compare(self) -> None:
        """Have new ids follow the database's clock; a machine that differs much is logged.

        Raises:
            UnavailableError: when the database cannot be asked; ids keep the time they had.
        """
