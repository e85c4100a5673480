"""Jobs that misbehave, each in its own way, and how each of them ends."""

from __future__ import annotations

from typing import Any, Final

import msgspec

BRIEF_MS: Final = 500


class Misdeed(msgspec.Struct, frozen=True):
    """A job with a handler of `misbehaving.py`, with one attempt."""

    type: str
    ends_as: str
    payload: dict[str, Any] = {}
    timeout_ms: int | None = None

    def job(self) -> dict[str, Any]:
        """As it is submitted."""
        job = {"type": self.type, "payload": self.payload, "max_attempts": 1}
        return job if self.timeout_ms is None else job | {"timeout_ms": self.timeout_ms}


# It goes on for ever.
SNOOZE: Final = Misdeed("snoozes", "canceled")
MISDEEDS: Final = (
    SNOOZE,
    Misdeed("spin", "failed"),
    Misdeed("regex", "failed"),
    Misdeed("swallows", "failed", {"seconds": 3600}, BRIEF_MS),
    Misdeed("exit", "succeeded", {"in": "task", "by": "exit"}),
    Misdeed("dies", "failed", {"how": "exit"}),
    Misdeed("dies", "failed", {"how": "kill"}),
    Misdeed("dies", "failed", {"how": "terminate"}),
    Misdeed("dies", "failed", {"how": "group"}),
    Misdeed("forked", "succeeded"),
    Misdeed("huge_error", "failed"),
    Misdeed("far_delay", "failed"),
    Misdeed("cycles", "succeeded"),
)
# The same in other ways.
MORE_MISDEEDS: Final = (
    Misdeed("sleep", "failed", {"seconds": 3600}),
    Misdeed("regex_on_loop", "failed"),
    Misdeed("swallows", "failed", {"seconds": 3}, BRIEF_MS),
    Misdeed("hangs", "failed", {"seconds": 3600}, BRIEF_MS),
    Misdeed("exit", "succeeded", {"in": "callback", "by": "exit"}),
    Misdeed("exit", "failed", {"in": "handler", "by": "interrupt"}),
    Misdeed("leaves_stubborn_task", "succeeded"),
    Misdeed("dies", "failed", {"how": "segv"}),
    Misdeed("dies", "failed", {"how": "shell"}),
    Misdeed("terminated_process", "succeeded"),
)
