"""Reads payloads into operators' input types without waiting for any of them for long."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar, cast

from internal.domain.errors import FieldError, UnavailableError, ValidationError

LONGEST_READ_S: Final = 5.0
THREADS_A_TYPE: Final = 4

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Readers:
    """Threads for the types whose input runs code of its author; they may stay for ever."""

    def __init__(
        self, longest_s: float = LONGEST_READ_S, threads_a_type: int = THREADS_A_TYPE
    ) -> None:
        self._longest_s = longest_s
        self._threads_a_type = threads_a_type
        self._places: dict[str, asyncio.Semaphore] = {}

    async def run(self, types: Sequence[str], read: Callable[[], T]) -> T:
        """What `read` returns or raises; on the event loop when no type is given.

        Raises:
            ValidationError: when it takes too long.
            UnavailableError: when other payloads of the type do, and have taken all threads.
        """
        if not types:
            return read()
        places = self._places.setdefault(types[0], asyncio.Semaphore(self._threads_a_type))
        try:
            async with asyncio.timeout(self._longest_s):
                await places.acquire()
        except TimeoutError as error:
            message = f"Other payloads of type {types[0]} are being read: try again shortly"
            raise UnavailableError(message) from error
        try:
            async with asyncio.timeout(self._longest_s):
                return await _in_thread(read, places)
        except TimeoutError as error:
            _log.error(
                "the input type of a handler has not read a payload within %g s: its thread is"
                " left behind",
                self._longest_s,
                extra={"types": list(types)},
            )
            why = f"is not read within {self._longest_s:g} s by the input of {', '.join(types)}"
            raise ValidationError.of(FieldError("payload", why)) from error


def _in_thread(read: Callable[[], T], places: asyncio.Semaphore) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(failure: BaseException | None, value: T | None) -> None:
        places.release()
        if result.done():  # too late
            return
        if failure is None:
            result.set_result(cast(T, value))
        else:
            result.set_exception(failure)

    def run() -> None:
        failure, value = None, None
        try:
            value = read()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        with suppress(RuntimeError):  # the process ends
            loop.call_soon_threadsafe(settle, failure, value)

    try:
        threading.Thread(target=run, name="input", daemon=True).start()
    except BaseException:
        places.release()
        raise
    return result
