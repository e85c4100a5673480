"""What a handler returned or raised, as the end of its attempt."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, Final

import msgspec

from internal.domain.handlers import Fail, Retry, Snooze
from internal.domain.jobs import Outcome
from internal.services.worker.running import Running

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
    is_misfit: bool = False


NO_RESULT: Final = End(Outcome.SUCCEEDED, result="null")
RELEASED: Final = End(Outcome.RELEASED)


def returned(value: Any) -> End:
    """How an attempt ended whose handler returned this."""
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


def raised(error: BaseException, running: Running) -> End:
    """How an attempt ended whose handler raised this."""
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
    name, words = type(error).__name__, message(error)
    return f"{name}: {words}" if words else name


def _words(outcome: Exception) -> str:
    return message(outcome) or type(outcome).__name__


def message(error: BaseException) -> str:
    """What an exception says, empty where it cannot say it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an operator's exception may not even have a message
        return ""
