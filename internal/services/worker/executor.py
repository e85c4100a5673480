"""Runs one attempt: decodes the payload, calls the handler in time, and says how it ended."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import msgspec

from internal.domain.attempt_log import clean
from internal.domain.failures import failure_of
from internal.domain.handlers import Fail, Handlers, JobContext, Retry, Snooze
from internal.domain.jobs import Outcome, Settlement, Status, settle, succeeded
from internal.domain.ports.work import Finish
from internal.services.worker.completer import Completer
from internal.services.worker.running import Running
from internal.services.worker.slots import Slots
from internal.services.worker.supervision import Marks
from internal.services.worker.threads import call_in_thread

MAX_ERROR_CHARS: Final = 10_000
# Room for 64 KiB of a fetched body even where each of its bytes becomes an escape of six.
MAX_RESULT_BYTES: Final = 1024 * 1024

_log = logging.getLogger(__name__)


class End(msgspec.Struct, frozen=True, gc=False):
    """How a handler ended."""

    outcome: Outcome
    result: str | None = None
    error: str | None = None
    permanent: bool = False
    retry_after: timedelta | None = None


# As a name of its own: to look it up in the enum takes longer than all the rest of a comparison.
SUCCEEDED: Final = Outcome.SUCCEEDED
STARTED: Final = Marks.STARTED
NO_RESULT: Final = End(Outcome.SUCCEEDED, result="null")
RELEASED: Final = End(Outcome.RELEASED)
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
            self._slots.marks[STARTED] = running.job.id.bytes  # 0.2 us
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
            reason = f"the payload does not fit the type's input: {_message(error)}"
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
            return NO_RESULT if value is None else _returned(value)
        except (asyncio.CancelledError, TimeoutError) as error:
            running.forget_time_out()
            if _is_being_stopped(error):
                raise
            if running.timed_out:
                limit = running.job.timeout_ms / 1000
                return End(Outcome.TIMED_OUT, error=f"timed out after {limit:g} s")
            return _raised(error, running)
        except BaseException as error:  # noqa: BLE001 - whatever an operator's code raises
            return _raised(error, running)

    async def _in_thread(self, function: Callable[..., Any], payload: Any, running: Running) -> Any:
        future = call_in_thread(function, payload, running, self._slots.marks)
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


def _returned(value: Any) -> End:
    if isinstance(value, Retry | Fail | Snooze):
        return _asked(value)
    try:
        result = msgspec.json.encode(value)
    except (TypeError, ValueError) as error:
        reason = f"the handler's result cannot be written as JSON: {error}"
        return End(Outcome.FAILED, error=reason, permanent=True)
    if len(result) > MAX_RESULT_BYTES:
        limit = f"at most {MAX_RESULT_BYTES:,} are kept"
        reason = f"the handler's result has {len(result):,} bytes; {limit}"
        return End(Outcome.FAILED, error=reason, permanent=True)
    return End(Outcome.SUCCEEDED, result=result.decode())


def _is_being_stopped(error: BaseException) -> bool:
    """Whether a CancelledError is meant for this task: a handler may raise its own."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _raised(error: BaseException, running: Running) -> End:
    if isinstance(error, Retry | Fail | Snooze):
        return _asked(error)
    job = {"job_id": str(running.job.id), "type": running.job.type, "attempt": running.job.number}
    _log.info("an attempt failed", exc_info=error, extra=job)
    if running.cancel_requested:
        return End(Outcome.CANCELED, error=_text(error))
    return End(Outcome.FAILED, error=_text(error))


def _asked(outcome: Retry | Fail | Snooze) -> End:
    match outcome:
        case Retry():
            return End(Outcome.FAILED, error=_words(outcome), retry_after=outcome.after)
        case Fail():
            return End(Outcome.FAILED, error=_words(outcome), permanent=True)
        case Snooze():
            return End(Outcome.RELEASED, retry_after=outcome.for_)


def _text(error: BaseException) -> str:
    name, message = type(error).__name__, _message(error)
    return f"{name}: {message}" if message else name


def _words(outcome: Exception) -> str:
    return _message(outcome) or type(outcome).__name__


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an operator's exception may not even have a message
        return ""


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
