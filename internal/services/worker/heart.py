"""Keeps the leases of this process alive, and hears which jobs are to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from internal.domain.errors import UnavailableError
from internal.domain.ports.work import Beat, Finishes, Workers
from internal.services.worker.completer import Completer
from internal.services.worker.lag import Lag
from internal.services.worker.running import Identity
from internal.services.worker.slots import Slots

# A claim that this side gave up on may commit for as long as the server lets a statement run; what
# it leased is handed back by the beats of the name that it was for.
LINGER_S: Final = 20.0

_log = logging.getLogger(__name__)


class Heart:
    """One heartbeat renews all that a name holds."""

    def __init__(
        self,
        workers: Workers,
        finishes: Finishes,
        slots: Slots,
        completer: Completer,
        lag: Lag,
        lease_ttl: timedelta,
        routes: Sequence[str],
        *,
        ask_for_isolated_worker: Callable[[], None] = lambda: None,
    ) -> None:
        self._ask_for_isolated_worker = ask_for_isolated_worker
        self._workers = workers
        self._finishes = finishes
        self._slots = slots
        self._completer = completer
        self._lag = lag
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
        return identity

    def retire(self) -> None:
        """Give up the current name: a claim whose answer was lost must not live on under it."""
        identity = self._slots.current
        if identity is not None:
            identity.given_up = time.monotonic()
            identity.ending = self._completer.unrecorded
            self._slots.retiring.append(identity)
            self._slots.current = None

    async def run_once(self) -> None:
        """Beat for every name this process holds jobs under, and pass on news of progress."""
        failure: Exception | None = None
        lag_ms = self._lag.take_ms()
        for identity in self._slots.identities:
            try:
                await self._beat(identity, lag_ms)
            except Exception as error:  # noqa: BLE001 - raised below, when all had their beat
                failure = error
        if failure is not None:
            raise failure
        await self._note_progress()

    async def _beat(self, identity: Identity, lag_ms: int) -> None:
        identity.ending &= self._completer.unrecorded
        retiring = identity is not self._slots.current
        held = [*identity.held, *identity.ending] if retiring else None
        began = time.monotonic()
        expires = identity.renewed + self._ttl.total_seconds()
        running = len(self._slots.running)
        beating = self._workers.beat(identity.id, self._ttl, held, running=running, lag_ms=lag_ms)
        try:
            beat = await _in_time(beating, expires - began)
        except (UnavailableError, TimeoutError) as error:
            if time.monotonic() >= expires:
                self._lose(identity)
            raise UnavailableError("no heartbeat arrived") from error
        if not beat.alive:
            self._lose(identity)
            return
        identity.renewed = began
        if beat.waits_alone:
            self._ask_for_isolated_worker()
        self._cancel(identity, beat.canceled)
        if retiring and not held and not identity.hung and began - identity.given_up > LINGER_S:
            self._slots.retiring.remove(identity)
            await self._workers.leave(identity.id)

    def _cancel(self, identity: Identity, canceled: frozenset[UUID]) -> None:
        """Tell the handlers; what has not started goes back, which ends it as canceled."""
        if not canceled:
            return
        unstarted = self._slots.buffer.take(canceled)
        self._completer.hand_back((each.lease, each.attempts) for each in unstarted)
        for job_id in canceled & identity.held.keys():
            identity.held[job_id].cancel_requested = True

    def _lose(self, identity: Identity) -> None:
        """The leases may be somebody else's by now: stop what runs under them."""
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


async def _in_time(beating: Coroutine[Any, Any, Beat], seconds: float) -> Beat:
    """Await an answer; a late one is worth nothing, and a frozen server may not even let go.

    Raises:
        TimeoutError: right after the time, while the call may take longer to end.
    """
    task = asyncio.create_task(beating, name="heartbeat")
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Beat]) -> None:
    if not task.cancelled():
        task.exception()
