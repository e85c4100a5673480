"""Keeps the leases of this process alive, and hears which jobs are to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from internal.domain.errors import UnavailableError
from internal.domain.ports.work import Finishes, Workers
from internal.services.worker.completer import Completer
from internal.services.worker.slots import Identity, Slots

_log = logging.getLogger(__name__)


class Heart:
    """One heartbeat renews all that a name holds."""

    def __init__(
        self,
        workers: Workers,
        finishes: Finishes,
        slots: Slots,
        completer: Completer,
        lease_ttl: timedelta,
        routes: Sequence[str],
    ) -> None:
        self._workers = workers
        self._finishes = finishes
        self._slots = slots
        self._completer = completer
        self._ttl = lease_ttl
        self._routes = routes

    async def begin(self) -> Identity:
        """Take a fresh name.

        Raises:
            UnavailableError: when the database is away.
        """
        identity = Identity()
        await self._workers.register(identity.id, self._ttl, self._slots.size, self._routes)
        self._slots.current = identity
        return identity

    async def run_once(self) -> None:
        """Beat for every name this process holds jobs under, and pass on news of progress."""
        failure: Exception | None = None
        for identity in self._slots.identities:
            try:
                await self._beat(identity)
            except Exception as error:  # noqa: BLE001 - raised below, when all had their beat
                failure = error
        if failure is not None:
            raise failure
        await self._note_progress()

    async def _beat(self, identity: Identity) -> None:
        identity.ending &= self._completer.unrecorded
        retiring = identity is not self._slots.current
        held = [*identity.running, *identity.ending] if retiring else None
        began = time.monotonic()
        expires = identity.renewed + self._ttl.total_seconds()
        try:
            async with asyncio.timeout(expires - began):  # later its answer would be worth nothing
                beat = await self._workers.beat(identity.id, self._ttl, held)
        except (UnavailableError, TimeoutError) as error:
            if time.monotonic() >= expires:
                self._lose(identity)
            raise UnavailableError("no heartbeat arrived") from error
        if not beat.alive:
            self._lose(identity)
            return
        identity.renewed = began
        for job_id in beat.canceled & identity.running.keys():
            identity.running[job_id].cancel_requested = True
        if retiring and not held:
            self._slots.retiring.remove(identity)
            await self._workers.leave(identity.id)

    def _lose(self, identity: Identity) -> None:
        """The leases may be somebody else's by now: stop what runs under them."""
        lost = list(identity.running.values())
        _log.warning(
            "leases were lost: no heartbeat arrived in time",
            extra={"worker": identity.id, "jobs": len(lost)},
        )
        for running in lost:
            running.lost = True
            if running.task is not None:
                running.task.cancel()
        if identity is self._slots.current:
            self._slots.current = None
        else:
            self._slots.retiring.remove(identity)

    async def _note_progress(self) -> None:
        news = {
            each.lease: (each, each.share)
            for each in self._slots.running
            if each.share is not None and each.share != each.share_noted
        }
        if not news:
            return
        await self._finishes.progress({lease: share for lease, (_, share) in news.items()})
        for each, share in news.values():
            each.share_noted = share
