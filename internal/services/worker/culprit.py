"""Finds the attempt that holds the event loop, from another thread."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from types import CodeType, FrameType
from typing import Any, Final

import msgspec

from internal.domain.handlers import Handler
from internal.services.worker.running import Running
from internal.services.worker.supervision import HandlerCode

FRAMES: Final = 20
# Frames of these folders are how every handler is called.
CALLERS: Final = ("internal/services/worker/", "internal/bootstrap/")


class Sight(msgspec.Struct, frozen=True):
    """What the loop's thread does now. `culprit` is the attempt whose code it runs, if certain."""

    stack: str
    culprit: Running | None


def look_at_loop(
    loop: asyncio.AbstractEventLoop,
    thread: int,
    running: Collection[Running],
    handlers: Mapping[str, Handler],
) -> Sight:
    """See what holds the loop that runs in a thread (its `threading.get_ident()`)."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, "for specialized purposes"
    if frame is None:
        return Sight(stack="", culprit=None)
    return Sight(_stack(frame), _of_task(loop, running) or _by_code(frame, running, handlers))


def _stack(frame: FrameType) -> str:
    """The innermost frames, from the handler's on if it is one."""
    frames = traceback.extract_stack(frame)
    ours = [
        number for number, each in enumerate(frames) if any(c in each.filename for c in CALLERS)
    ]
    handlers = frames[ours[-1] + 1 :] if ours else []
    return "".join(traceback.format_list((handlers or frames)[-FRAMES:]))


def _of_task(loop: asyncio.AbstractEventLoop, running: Collection[Running]) -> Running | None:
    current = asyncio.current_task(loop)
    return next((each for each in running if current is not None and each.task is current), None)


def _by_code(
    frame: FrameType, running: Collection[Running], handlers: Mapping[str, Handler]
) -> Running | None:
    """The only attempt whose handler made the task or the callback that runs."""
    codes = list(_codes_of(frame))
    types = {
        each.type
        for each in {running_.type: running_ for running_ in running}.values()
        if (handler := handlers.get(each.type)) and _made(code_of(handler.function), codes)
    }
    candidates = [each for each in running if each.type in types]
    return candidates[0] if len(candidates) == 1 else None


def _codes_of(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _made(handler: CodeType | None, codes: Collection[CodeType]) -> bool:
    if handler is None:
        return False
    inner = f"{handler.co_qualname}.<locals>."
    return any(
        code is handler
        or (code.co_filename == handler.co_filename and code.co_qualname.startswith(inner))
        for code in codes
    )


def code_of(function: Callable[..., Any]) -> CodeType | None:
    """The code of what a handler is made of, below decorators and partial applications."""
    inner: Any = function
    while isinstance(inner, functools.partial) or hasattr(inner, "__wrapped__"):
        inner = inner.func if isinstance(inner, functools.partial) else inner.__wrapped__
    if not hasattr(inner, "__code__"):
        inner = getattr(type(inner), "__call__", None)  # noqa: B004 - its code is wanted
    code = getattr(inner, "__code__", None)
    return code if inspect.iscode(code) else None


def handler_codes(handlers: Mapping[str, Handler]) -> list[HandlerCode]:
    """By what a stack shows each handler."""
    return [
        HandlerCode(type_, code.co_filename, code.co_name, handler.is_async)
        for type_, handler in handlers.items()
        if (code := code_of(handler.function))
    ]
