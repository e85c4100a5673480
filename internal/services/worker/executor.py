"""Runs one attempt: decodes the payload, calls the handler in time, and says how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final

import msgspec

from internal.domain.blame import alone
from internal.domain.handlers import Handlers, JobContext, pull_route
from internal.domain.inputs import misfit
from internal.domain.jobs import Outcome
from internal.domain.misfits import MISFIT
from internal.services.worker.completer import Completer
from internal.services.worker.context import Context
from internal.services.worker.ends import (
    NO_RESULT,
    RELEASED,
    End,
    raised,
    returned,
)
from internal.services.worker.finishing import (
    ENDED_ITS_PROCESS,
    expired,
    finish_of,
    timed_out,
)
from internal.services.worker.loop_threads import ATTEMPT
from internal.services.worker.running import Running
from internal.services.worker.slots import Slots
from internal.services.worker.supervision import Marks
from internal.services.worker.threads import NoThreadError, call_in_thread, marked

# The type has no handler here. Only this object is meant, whatever it says.
MISPLACED: Final = End(Outcome.RELEASED, error="no handler")

NO_THREAD: Final = End(Outcome.RELEASED, error="released: its process could not start a thread")

# As a name of its own: to look it up in the class takes longer than to write there.
STARTED: Final = Marks.STARTED
UNREADABLE: Final = End(Outcome.FAILED, error="how the attempt ended could not be read")

_log = logging.getLogger(__name__)


class Call(msgspec.Struct, frozen=True):
    """A handler as it is called: looking these up costs more than an empty handler."""

    decode: Callable[[str], Any]
    function: Callable[[Any, JobContext], Any]
    is_async: bool


class Executor:
    """Runs attempts, each in a task of its own; sync handlers in threads."""

    def __init__(self, handlers: Handlers, slots: Slots, completer: Completer) -> None:
        self._handlers = handlers
        self._calls: dict[str, Call] = {}
        self._slots = slots
        self._completer = completer
        self._missing: set[str] = set()
        self._context = copy_context()

    def start(self, running: Running) -> None:
        """Begin an attempt; its slot is taken from now on."""
        self._slots.running.add(running)
        # A fresh context, no copy of the present one: that may be of the attempt whose end freed
        # the slot, with the contextvars of another user's handler. Made directly and unnamed:
        # `create_task` takes a microsecond longer, and a name another.
        running.task = asyncio.Task(
            self._run(running), loop=asyncio.get_running_loop(), context=self._context.copy()
        )

    async def _run(self, running: Running) -> None:
        end: End | None = None
        try:
            if running.stopped or running.job.expired:
                self._pass_over(running)
                return
            running.begin()
            self._slots.marks[STARTED] = running.job.id.bytes  # 0.2 us
            end = await self._attempt(running)
            if running.abandoned:
                return
            running.end()
            if end is MISPLACED:
                self._hand_back(running, self._route_beside(running))
            elif not running.lost:
                finish = finish_of(running, end)
                if self._completer.has_room:
                    self._completer.put_last(finish)
                else:
                    await self._completer.put(finish)
        except asyncio.CancelledError:
            # The worker stops and this attempt used up the grace, or its lease is lost.
            self._record_late(running, end or self._stopped(running))
        except Exception:  # noqa: BLE001 - without an end it would run until this process ends
            _log.exception("an attempt's end is unreadable", extra={"job_id": str(running.job_id)})
            self._record_late(running, UNREADABLE)
        finally:
            # Else the attempt, its task and the task's context hold each other until a collection.
            ATTEMPT.set(None)
            if not running.abandoned:
                self._leave(running)

    def abandon(self, running: Running) -> None:
        """It was told to stop and did not: its slot and its place stay taken until it does.

        Whatever it still returns or raises changes nothing.
        """
        end = timed_out(running) if running.timed_out else self._stopped(running)
        running.abandon()
        self._record(running, end)
        self._slots.hang(running)
        if running.task is not None:
            running.task.add_done_callback(partial(self._let_go, running))

    def _record_late(self, running: Running, end: End) -> None:
        if not running.abandoned:
            self._record(running, end)

    def _record(self, running: Running, end: End) -> None:
        running.end()
        if not running.lost:
            self._completer.put_last(finish_of(running, end))

    def _leave(self, running: Running) -> None:
        if running.thread is None or running.thread.done():
            self._slots.release(running)
            return
        self._slots.hang(running)
        running.thread.add_done_callback(partial(self._let_go, running))

    def _let_go(self, running: Running, _ended: asyncio.Future[Any]) -> None:
        if running.thread is not None and not running.thread.done():
            running.thread.add_done_callback(partial(self._let_go, running))
            return
        if not running.lost:
            self._completer.let_go(running.lease)
        self._slots.recover(running)

    def _hand_back(self, running: Running, route: str | None = None) -> None:
        if not running.lost:
            self._completer.hand_back([(running.lease, running.job.attempts)], route)

    def _pass_over(self, running: Running) -> None:
        """Its handler is not called: this process stops, or the job is not worth running."""
        if running.stopped:
            self._hand_back(running)
        elif not running.lost:
            self._completer.put_last(expired(running))

    def _stopped(self, running: Running) -> End:
        if running.suspicion and self._slots.is_alone:
            return ENDED_ITS_PROCESS
        return RELEASED

    def _route_beside(self, running: Running) -> str:
        """Where a job goes whose type this worker does not have; the log says so once."""
        type_ = running.job.type
        if type_ not in self._missing:
            self._missing.add(type_)
            _log.warning(
                "no handler here for a type: its jobs wait for a worker that has one",
                extra={"type": type_},
            )
        return alone(pull_route(type_)) if self._slots.is_alone else pull_route(type_)

    async def _attempt(self, running: Running) -> End:
        try:
            call = self._calls.get(running.job.type) or self._prepare(running.job.type)
            payload = call and call.decode(running.job.payload)
        except BaseException as error:  # noqa: BLE001 - an input type may run an operator's code
            return End(Outcome.RELEASED, error=MISFIT + misfit(error), is_misfit=True)
        if call is None:
            return MISPLACED
        return await self._call(call, payload, running)

    def _without_thread(self, error: NoThreadError) -> End:
        """It is not the job's fault, and the next one would fare no better here."""
        if not self._slots.is_closed:
            self._slots.is_closed = True
            _log.error("no job starts here any more: %s", error)
        return NO_THREAD

    def _prepare(self, type_: str) -> Call | None:
        handler = self._handlers.get(type_)
        if handler is None:
            return None
        decode, function = handler.input.decode, handler.function
        call = self._calls[type_] = Call(decode, function, handler.is_async)
        return call

    async def _call(self, call: Call, payload: Any, running: Running) -> End:
        ATTEMPT.set(running)  # 0.1 us; the attempt's context is its own
        try:
            if call.is_async:
                value = await call.function(payload, Context(running))
            else:
                marks = self._slots.marks
                running.thread = call_in_thread(marked, call.function, payload, running, marks)
                value = await asyncio.shield(running.thread)
            if value is not None and hasattr(type(value), "__await__"):
                # A decorator or a plain function that only passes on what an async one gave it.
                value = await value
            return NO_RESULT if value is None else returned(value)
        except asyncio.CancelledError as error:
            # A handler may raise its own, and cancel its own task.
            if running.stopped or running.abandoned:
                raise
            return timed_out(running) if running.timed_out else raised(error, running)
        except NoThreadError as error:
            return self._without_thread(error)
        except TimeoutError as error:
            return timed_out(running) if running.timed_out else raised(error, running)
        except BaseException as error:  # noqa: BLE001 - whatever an operator's code raises
            return raised(error, running)
