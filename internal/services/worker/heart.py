"""The names under which this process holds leases, and what becomes of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Final
from uuid import UUID

from internal.domain.ports.work import Finishes, Workers
from internal.services.worker.completer import Completer
from internal.services.worker.report import Report
from internal.services.worker.running import Identity
from internal.services.worker.slots import Slots

# A claim that this side gave up on may commit for as long as the server lets a statement run; what
# it leased is handed back by the beats of the name that it was for.
LINGER_S: Final = 20.0

_log = logging.getLogger(__name__)


class Heart:
    """Takes and gives up names; `Heartbeat` renews them from a thread of its own."""

    def __init__(
        self,
        workers: Workers,
        finishes: Finishes,
        slots: Slots,
        completer: Completer,
        report: Report,
        lease_ttl: timedelta,
        routes: Sequence[str],
    ) -> None:
        self._workers = workers
        self._finishes = finishes
        self._slots = slots
        self._completer = completer
        self._report = report
        self._ttl = lease_ttl
        self._routes = routes

    async def begin(self) -> Identity:
        """Take a fresh name.

        Raises:
            UnavailableError: when the database is away.
        """
        identity = Identity()
        await self._workers.register(
            identity.id, self._ttl, self._slots.size, self._routes, is_alone=self._slots.is_alone
        )
        self._slots.current = identity
        # Before the first job: its handler may keep this process from ever saying it.
        self._report.send()
        known = {"worker": identity.id, "pid": os.getpid(), "slots": self._slots.size}
        _log.info("working", extra=known)
        return identity

    def retire(self) -> None:
        """Give up the current name: a claim whose answer was lost must not live on under it."""
        identity = self._slots.current
        if identity is not None:
            identity.given_up = monotonic()
            identity.ending = self._completer.unrecorded
            self._slots.retiring.append(identity)
            self._slots.current = None

    async def run_once(self) -> None:
        """Hand back what names that were given up do not hold, and pass on news of progress."""
        failure: Exception | None = None
        for identity in tuple(self._slots.retiring):
            try:
                await self._hand_back(identity)
            except Exception as error:  # noqa: BLE001 - raised below, when all had their turn
                failure = error
        if failure is not None:
            raise failure
        await self._note_progress()

    async def _hand_back(self, identity: Identity) -> None:
        identity.ending &= self._completer.unrecorded
        held = [*identity.held, *identity.ending]
        running = len(self._slots.running)
        beat = await self._workers.beat(identity.id, self._ttl, held, running=running)
        if not beat.alive:
            self.lose(identity)
        elif not held and not identity.hung and monotonic() - identity.given_up > LINGER_S:
            self._slots.retiring.remove(identity)
            await self._workers.leave(identity.id)

    def cancel(self, identity: Identity, canceled: frozenset[UUID]) -> None:
        """Tell the handlers; what has not started goes back, which ends it as canceled."""
        unstarted = self._slots.buffer.take(canceled)
        self._completer.hand_back((each.lease, each.attempts) for each in unstarted)
        for job_id in canceled & identity.held.keys():
            identity.held[job_id].cancel_requested = True

    def lose(self, identity: Identity) -> None:
        """The leases may be held by another process by now: stop what runs under them."""
        if identity not in self._slots.identities:
            return
        identity.lost = True
        dropped = self._slots.buffer.take_held_under(identity)
        lost = [each for each in self._slots.running if each.identity is identity]
        _log.warning(
            "leases were lost: no heartbeat arrived in time",
            extra={"worker": identity.id, "jobs": len(lost) + len(dropped)},
        )
        for running in lost:
            running.lost = True
            running.stop()
        if identity is self._slots.current:
            self._slots.current = None
        else:
            self._slots.retiring.remove(identity)

    async def _note_progress(self) -> None:
        news = {
            each.lease: (each, each.report)
            for each in self._slots.running
            if each.report is not None and each.report != each.report_noted
        }
        if not news:
            return
        await self._finishes.progress({lease: report for lease, (_, report) in news.items()})
        for each, report in news.values():
            each.report_noted = report
