"""What a worker and the process that watches it say to each other."""

from __future__ import annotations

from typing import Protocol


class Supervision(Protocol):
    """The supervisor's end, as the worker sees it; all of it may be called from any thread."""

    @property
    def stop_asked(self) -> bool:
        """Whether the supervisor asked for the stop: a SIGTERM without this came from elsewhere."""

    def ask_for_isolated_worker(self) -> None:
        """Have a worker started that runs one job at a time in a process of its own."""


class Unsupervised:
    """Fits Supervision where no supervisor is there, as in a test."""

    stop_asked = True

    def ask_for_isolated_worker(self) -> None: ...
