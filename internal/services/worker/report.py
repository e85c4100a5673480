"""What the supervisor hears of this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

from internal.domain.handlers import Handler
from internal.services.worker.culprit import handler_codes
from internal.services.worker.slots import Slots
from internal.services.worker.supervision import RunningAttempt, Supervision

# With more of them, no thread of theirs is looked for.
REPORTED: Final = 1000


class Report:
    """May be sent from any thread."""

    def __init__(self, slots: Slots, supervision: Supervision) -> None:
        self._slots = slots
        self._supervision = supervision

    def introduce(self, handlers: Mapping[str, Handler]) -> None:
        """The first thing that the supervisor hears."""
        self._supervision.introduce(handler_codes(handlers))

    def send(self) -> None:
        """Give a sign of life, with the names of this process and what runs."""
        attempts = [
            RunningAttempt(each.job_id, each.type, each.thread_id)
            for each in list(self._slots.running)[:REPORTED]
        ]
        self._supervision.beat([each.id for each in self._slots.identities], attempts)

    def replace_process(self) -> NoReturn:
        """End this process at once, to be replaced."""
        self._supervision.replace_process()
