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

from internal.domain.handlers import Fail, Handler, Handlers, Retry, Snooze
from internal.domain.jobs import Outcome, settle
from internal.domain.ports.work import Finish
from internal.services.worker.completer import Completer
from internal.services.worker.slots import Identity, Running, Slots
from internal.services.worker.threads import call_in_thread

MAX_ERROR_CHARS: Final = 10_000
# Room for 64 KiB of a fetched body even where each of its bytes becomes an escape of six.
MAX_RESULT_BYTES: Final = 1024 * 1024

_log = logging.getLogger(__name__)


class End(msgspec.Struct, frozen=True):
    """How a handler ended."""

    outcome: Outcome
    result: str | None = None
    error: str | None = None
    permanent: bool = False
    retry_after: timedelta | None = None


class Executor:
    """Runs attempts, each in a task of its own; sync handlers in threads."""

    def __init__(self, handlers: Handlers, slots: Slots, completer: Completer) -> None:
        self._handlers = handlers
        self._slots = slots
        self._completer = completer

    def start(self, identity: Identity, running: Running) -> None:
        """Begin an attempt; its slot is taken from now on."""
        identity.running[running.job.id] = running
        name = f"job {running.job.id} attempt {running.job.number}"
        running.task = asyncio.create_task(self._run(identity, running), name=name)

    async def _run(self, identity: Identity, running: Running) -> None:
        end = End(Outcome.RELEASED)
        try:
            end = await self._attempt(running)
            if not running.lost:
                await self._completer.put(_finish(running, end))
        except asyncio.CancelledError:
            # The worker stops and this attempt used up the grace, or its lease is lost.
            if not running.lost:
                self._completer.put_last(_finish(running, end))
        finally:
            self._slots.release(identity, running)

    async def _attempt(self, running: Running) -> End:
        handler = self._handlers.get(running.job.type)
        if handler is None:
            reason = f"this worker has no handler for the type {running.job.type!r}"
            return End(Outcome.RELEASED, error=reason, retry_after=timedelta(seconds=5))
        try:
            payload = msgspec.json.decode(running.job.payload, type=handler.input_type)
        except BaseException as error:  # noqa: BLE001 - an input type may run an operator's code
            reason = f"the payload does not fit the type's input: {_message(error)}"
            return End(Outcome.FAILED, error=reason, permanent=True)
        return await self._call(handler, payload, running)

    async def _call(self, handler: Handler, payload: Any, running: Running) -> End:
        limit = running.job.timeout_ms / 1000
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                if handler.is_async:
                    value = await handler.function(payload, running)
                else:
                    value = await self._in_thread(handler.function, payload, running)
            return self._returned(value)
        except TimeoutError as error:
            if clock.expired():
                return End(Outcome.TIMED_OUT, error=f"timed out after {limit:g} s")
            return _raised(error, running)
        except asyncio.CancelledError as error:
            if _is_being_stopped():
                raise
            return _raised(error, running)
        except BaseException as error:  # noqa: BLE001 - whatever an operator's code raises
            return _raised(error, running)

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
            self._slots.freed.set()

        future.add_done_callback(let_go)

    def _returned(self, value: Any) -> End:
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


def _is_being_stopped() -> bool:
    """Whether a CancelledError is meant for this task: a handler may raise its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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
            return End(Outcome.RELEASED, error=_words(outcome), retry_after=outcome.for_)


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


def _clean(text: str) -> str:
    """Text that PostgreSQL takes: no NUL, no lone surrogates, not without end."""
    return text[:MAX_ERROR_CHARS].replace("\0", "�").encode(errors="replace").decode()


def _finish(running: Running, end: End) -> Finish:
    job = running.job
    settlement = settle(
        end.outcome,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        backoff=job.backoff,
        cancel_requested=running.cancel_requested,
        permanent=end.permanent,
        retry_after=end.retry_after,
        jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
    )
    now = time.monotonic()
    return Finish(
        lease=running.lease,
        outcome=end.outcome,
        settlement=settlement,
        started_ago=timedelta(seconds=now - running.started),
        ended_ago=timedelta(0),
        result=end.result,
        error=None if end.error is None else _clean(end.error),
        progress=running.share,
    )
