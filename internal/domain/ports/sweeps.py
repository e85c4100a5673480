"""Removing what is of no use any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol


class Sweep(Protocol):
    """One kind of row that has an end; docs/growth.md lists them."""

    @property
    def name(self) -> str:
        """What is removed, for logs and tasks."""

    @property
    def every(self) -> timedelta:
        """How often to look."""

    async def run(self) -> bool:
        """Remove a batch of them, in a short statement of its own; whether more may be left.

        Several at once, in whatever processes, do not disturb each other.
        """
