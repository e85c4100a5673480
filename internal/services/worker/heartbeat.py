"""Keeps the leases of this process alive, whatever its event loop does."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any, Final

import msgspec

from internal.domain.errors import UnavailableError
from internal.domain.ports.work import Beat, Beats
from internal.services.worker.heart import Heart
from internal.services.worker.lag import Lag
from internal.services.worker.running import Identity
from internal.services.worker.slots import Slots
from internal.services.worker.supervision import Supervision
from internal.services.worker.watchdog import Watchdog

LONGEST_PAUSE: Final = timedelta(seconds=1)
# Between two rounds, however often one is asked for.
REST_S: Final = 0.002
END_S: Final = 2.0

_log = logging.getLogger(__name__)


class Watched(msgspec.Struct, frozen=True):
    """How a worker shows that it lives: to the database, and to its supervisor."""

    open_beats: Callable[[], Beats]
    supervision: Supervision
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop


class Heartbeat:
    """Beats for every name of the process, in a thread with a loop and a connection of its own.

    A handler that blocks the worker's loop delays its neighbours, but costs no lease.
    """

    def __init__(
        self,
        watched: Watched,
        slots: Slots,
        heart: Heart,
        lag: Lag,
        watchdog: Watchdog,
        lease_ttl: timedelta,
    ) -> None:
        self._watched = watched
        self._slots = slots
        self._heart = heart
        self._lag = lag
        self._watchdog = watchdog
        self._ttl = lease_ttl
        # A cancel is heard with a beat: within two seconds even when no wake-up comes through.
        self._pause_s = min(LONGEST_PAUSE, lease_ttl / 3).total_seconds()
        self._failing = False
        self._worker_loop: asyncio.AbstractEventLoop | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._due = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Live on the worker's loop until canceled; what ends the thread is raised here."""
        loop = self._worker_loop = asyncio.get_running_loop()
        self._watchdog.watch_this_loop()
        ended: asyncio.Future[None] = loop.create_future()
        thread = threading.Thread(
            target=self._run_thread, args=(ended,), name="heartbeat", daemon=True
        )
        thread.start()
        try:
            await asyncio.shield(ended)
        finally:
            self._tell_thread(self._stopping.set)
            await asyncio.wait({ended}, timeout=END_S)

    def wake(self) -> None:
        """Have a beat now; called on the worker's loop."""
        self._tell_thread(self._due.set)

    def _tell_thread(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # it has ended
            if self._own_loop is not None:
                self._own_loop.call_soon_threadsafe(call)

    def _tell_worker(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # it has ended
            if self._worker_loop is not None:
                self._worker_loop.call_soon_threadsafe(call)

    def _run_thread(self, ended: asyncio.Future[None]) -> None:
        failure: BaseException | None = None
        try:
            with asyncio.Runner(loop_factory=self._watched.new_loop) as runner:
                runner.run(self._live())
        except BaseException as error:  # noqa: BLE001 - raised on the worker's loop
            failure = error
        self._tell_worker(partial(_settle, ended, failure))

    async def _live(self) -> None:
        self._own_loop = asyncio.get_running_loop()
        beats = self._watched.open_beats()
        tasks = [
            asyncio.create_task(self._beat_on(beats), name="beats"),
            asyncio.create_task(self._watchdog.run(), name="watchdog"),
            asyncio.create_task(self._stopping.wait(), name="stop"),
        ]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await beats.close()
        for task in done:
            task.result()

    async def _beat_on(self, beats: Beats) -> None:
        while True:
            self._due.clear()
            await self._round(beats)
            await asyncio.sleep(REST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s):
                    await self._due.wait()

    async def _round(self, beats: Beats) -> None:
        lag_ms = self._lag.take_ms()
        failure: Exception | None = None
        for identity in self._slots.identities:
            try:
                await self.beat(beats, identity, lag_ms)
            except UnavailableError as error:
                failure = error
            except Exception as error:  # noqa: BLE001 - the heartbeat outlives what one beat meets
                _log.exception("a heartbeat failed")
                failure = error
        self._note(failure)

    def _note(self, failure: Exception | None) -> None:
        if isinstance(failure, UnavailableError) and not self._failing:
            cause = repr(failure.__cause__)
            _log.warning("no heartbeat arrives: %s", failure, extra={"cause": cause})
        if failure is None and self._failing:
            _log.info("heartbeats arrive again")
        self._failing = failure is not None

    async def beat(self, beats: Beats, identity: Identity, lag_ms: int) -> None:
        """Beat for one name, and pass the answer on to the worker's loop.

        Raises:
            UnavailableError: when no answer came.
        """
        if identity.lost:
            return
        began = monotonic()
        expires = identity.renewed + self._ttl.total_seconds()
        running = len(self._slots.running)
        beating = beats.beat(identity.id, self._ttl, running=running, lag_ms=lag_ms)
        try:
            beat = await in_time(beating, expires - began)
        except (UnavailableError, TimeoutError) as error:
            if monotonic() >= expires:
                self._lose(identity)
            raise UnavailableError("no heartbeat arrived") from error
        if not beat.alive:
            self._lose(identity)
            return
        identity.renewed = began
        if beat.waits_alone:
            self._watched.supervision.ask_for_isolated_worker()
        if beat.canceled:
            self._tell_worker(partial(self._heart.cancel, identity, beat.canceled))

    def _lose(self, identity: Identity) -> None:
        identity.lost = True
        self._tell_worker(partial(self._heart.lose, identity))


def _settle(ended: asyncio.Future[None], failure: BaseException | None) -> None:
    if ended.done():
        return
    if failure is None:
        ended.set_result(None)
    else:
        ended.set_exception(failure)


async def in_time(beating: Coroutine[Any, Any, Beat], seconds: float) -> Beat:
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
