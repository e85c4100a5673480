"""Runs one attempt: decodes the payload, calls the handler in time, and says how it ended."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import msgspec

from internal.domain.attempt_log import clean
from internal.domain.failures import failure_of
from internal.domain.handlers import Handlers, JobContext
from internal.domain.jobs import Outcome, Settlement, Status, settle, succeeded
from internal.domain.ports.work import Finish
from internal.services.worker.completer import Completer
from internal.services.worker.ends import (
    MAX_ERROR_CHARS,
    NO_RESULT,
    RELEASED,
    End,
    message,
    raised,
    returned,
)
from internal.services.worker.running import Running
from internal.services.worker.slots import Slots
from internal.services.worker.threads import call_in_thread

# As a name of its own: to look it up in the enum takes longer than all the rest of a comparison.
SUCCEEDED: Final = Outcome.SUCCEEDED
# As in expire.sql.
NOT_STARTED: Final = "expired: it had not started by expires_at"
NOT_FINISHED: Final = "expired: it had not finished by expires_at"


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

    def start(self, running: Running) -> None:
        """Begin an attempt; its slot is taken from now on."""
        self._slots.running.add(running)
        # Its own task, and so its own contextvars. Made directly and unnamed: `create_task` takes
        # a microsecond longer, and a name another.
        running.task = asyncio.Task(self._run(running), loop=asyncio.get_running_loop())

    async def _run(self, running: Running) -> None:
        end = RELEASED
        try:
            if running.stopped:
                self._hand_back(running)
                return
            if running.job.expired:
                self._give_up(running)
                return
            running.begin()
            end = await self._attempt(running)
            running.end()
            if not running.lost:
                finish = _finish(running, end)
                if self._completer.has_room:
                    self._completer.put_last(finish)
                else:
                    await self._completer.put(finish)
        except asyncio.CancelledError:
            # The worker stops and this attempt used up the grace, or its lease is lost.
            running.end()
            if not running.lost:
                self._completer.put_last(_finish(running, end))
        finally:
            self._slots.release(running)

    def _hand_back(self, running: Running) -> None:
        if not running.lost:
            self._completer.hand_back([(running.lease, running.job.attempts)])

    def _give_up(self, running: Running) -> None:
        if not running.lost:
            self._completer.put_last(_expired(running))

    async def _attempt(self, running: Running) -> End:
        try:
            call = self._calls.get(running.job.type) or self._prepare(running.job.type)
            payload = call and call.decode(running.job.payload)
        except BaseException as error:  # noqa: BLE001 - an input type may run an operator's code
            reason = f"the payload does not fit the type's input: {message(error)}"
            return End(Outcome.FAILED, error=reason, permanent=True)
        if call is None:
            reason = f"this worker has no handler for the type {running.job.type!r}"
            return End(Outcome.RELEASED, error=reason, retry_after=timedelta(seconds=5))
        return await self._call(call, payload, running)

    def _prepare(self, type_: str) -> Call | None:
        handler = self._handlers.get(type_)
        if handler is None:
            return None
        decode = msgspec.json.Decoder(handler.input_type).decode
        call = self._calls[type_] = Call(decode, handler.function, handler.is_async)
        return call

    async def _call(self, call: Call, payload: Any, running: Running) -> End:
        try:
            if call.is_async:
                value = await call.function(payload, running)
            else:
                value = await self._in_thread(call.function, payload, running)
            return NO_RESULT if value is None else returned(value)
        except (asyncio.CancelledError, TimeoutError) as error:
            running.forget_time_out()
            if _is_being_stopped(error):
                raise
            if running.timed_out:
                limit = running.job.timeout_ms / 1000
                return End(Outcome.TIMED_OUT, error=f"timed out after {limit:g} s")
            return raised(error, running)
        except BaseException as error:  # noqa: BLE001 - whatever an operator's code raises
            return raised(error, running)

    async def _in_thread(self, function: Callable[..., Any], payload: Any, running: Running) -> Any:
        future = call_in_thread(function, payload, running)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.done():
                self._keep_slot(future, running)
            raise

    def _keep_slot(self, future: asyncio.Future[Any], running: Running) -> None:
        """A thread cannot be stopped: its slot stays taken until it returns."""
        self._slots.hung += 1
        running.abandoned = True

        def let_go(ended: asyncio.Future[Any]) -> None:
            if not ended.cancelled():
                ended.exception()
            self._slots.hung -= 1
            self._slots.freed()

        future.add_done_callback(let_go)


def _is_being_stopped(error: BaseException) -> bool:
    """Whether a CancelledError is meant for this task: a handler may raise its own."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _finish(running: Running, end: End) -> Finish:
    if end.outcome is SUCCEEDED:
        return _success(running, end)
    settlement = _settled(running, end)
    error = None if end.error is None else clean(end.error[:MAX_ERROR_CHARS])
    failed = settlement.status is Status.FAILED
    return Finish(
        lease=running.lease,
        outcome=end.outcome,
        settlement=settlement,
        ran_ms=1000 * (running.ended - running.started),
        ended=running.ended,
        result=end.result,
        error=error,
        progress=running.report,
        lines=running.last_lines(),
        failure=failure_of(running.job.user_id, running.job.type, error) if failed else None,
    )


def _success(running: Running, end: End) -> Finish:
    # Nearly all are such, so this is worth its own way.
    return Finish(
        lease=running.job.lease,
        outcome=SUCCEEDED,
        settlement=succeeded(running.job.attempts),
        ran_ms=1000 * (running.ended - running.started),
        ended=running.ended,
        result=end.result,
        progress=running.report,
        lines=running.last_lines(),
    )


def _expired(running: Running) -> Finish:
    job = running.job
    return Finish(
        lease=running.lease,
        outcome=None,
        settlement=Settlement(Status.CANCELED, job.attempts),
        ran_ms=0.0,
        ended=time.monotonic(),
        error=NOT_STARTED if job.number == 1 else NOT_FINISHED,
    )


def _settled(running: Running, end: End) -> Settlement:
    job = running.job
    return settle(
        end.outcome,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        backoff=job.backoff,
        cancel_requested=running.cancel_requested,
        permanent=end.permanent,
        retry_after=end.retry_after,
        jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
    )
