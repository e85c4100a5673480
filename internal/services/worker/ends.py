"""What a handler returned or raised, as the end of its attempt."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, Final

import msgspec

from internal.domain.attempt_log import clean, kind_of
from internal.domain.jobs import COUNTED, Outcome, Settlement, Status
from internal.domain.outcomes import SHORTEST_SNOOZE, Fail, Retry, Snooze, bounded
from internal.services.worker.error_text import MAX_ERROR_CHARS, error_text, message
from internal.services.worker.results import UnwritableError, written
from internal.services.worker.running import Running

MAX_LOGGED_CHARS: Final = 2_000
REPORTED: Final = COUNTED | {Outcome.LOST}
ASKED: Final = (Retry, Fail, Snooze)

_log = logging.getLogger(__name__)


class End(msgspec.Struct, frozen=True, gc=False):
    """How a handler ended."""

    outcome: Outcome
    result: str | None = None
    error: str | None = None
    permanent: bool = False
    retry_after: timedelta | None = None
    is_misfit: bool = False


NO_RESULT: Final = End(Outcome.SUCCEEDED, result="null")
RELEASED: Final = End(Outcome.RELEASED)


def returned(value: Any) -> End:
    """How an attempt ended whose handler returned this."""
    try:
        if issubclass(type(value), ASKED):
            return _asked(value)
        return End(Outcome.SUCCEEDED, result=written(value))
    except UnwritableError as error:
        return End(Outcome.FAILED, error=str(error), permanent=True)
    except BaseException as error:  # noqa: BLE001 - attributes of an author's own subclass
        return _unreadable(value, error)


def raised(error: BaseException, running: Running) -> End:
    """How an attempt ended whose handler raised this."""
    try:
        if issubclass(type(error), ASKED):
            return _asked(error)
        outcome = Outcome.CANCELED if running.cancel_requested else Outcome.FAILED
        return End(outcome, error=error_text(error))
    except BaseException as fault:  # noqa: BLE001 - as above
        return _unreadable(error, fault)


def kept(error: str | None) -> str | None:
    """As much of an error as is stored, without what PostgreSQL does not take."""
    return None if error is None else clean(error[:MAX_ERROR_CHARS])


def report(running: Running, end: End, settlement: Settlement) -> None:
    """Leave a line for an attempt that failed or was lost: one of thousands is found by its ids."""
    if end.outcome not in REPORTED:
        return
    job = running.job
    what = "a job failed for good" if settlement.status is Status.FAILED else "an attempt failed"
    ids = {"job_id": str(job.id), "user_id": str(job.user_id), "type": job.type}
    counts = {"attempt": job.number, "outcome": end.outcome.value, "counted": settlement.attempts}
    worker = {"worker": running.identity.id}
    error = (end.error or "")[:MAX_LOGGED_CHARS]
    _log.info(what, extra={**ids, **counts, **worker, "error": error})


def _asked(outcome: BaseException) -> End:
    # By the type, since an object may say any other class of itself.
    kind = type(outcome)
    if issubclass(kind, Retry):
        after = _delay(outcome, "after")
        delay = None if after is None else bounded(after)
        return End(Outcome.FAILED, error=_words(outcome), retry_after=delay)
    if issubclass(kind, Fail):
        return End(Outcome.FAILED, error=_words(outcome), permanent=True)
    wait = _delay(outcome, "for_") or SHORTEST_SNOOZE
    return End(Outcome.RELEASED, retry_after=bounded(wait, SHORTEST_SNOOZE))


def _delay(outcome: BaseException, name: str) -> timedelta | None:
    """Whatever an author's own subclass made of the delay, as a plain one."""
    delay = getattr(outcome, name, None)
    return timedelta.__pos__(delay) if isinstance(delay, timedelta) else None


def _unreadable(thing: object, fault: BaseException) -> End:
    what = f"{kind_of(thing)}, of which the worker could not read more: {kind_of(fault)}"
    return End(Outcome.FAILED, error=what)


def _words(outcome: BaseException) -> str:
    return message(outcome) or kind_of(outcome)
