"""Declaring handlers: the face behind `from windlass import handler`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final, get_type_hints

from internal.domain.durations import milliseconds, parse_duration
from internal.domain.handlers import DEFAULT_POOL, PULL_PREFIX, Handler, JobContext
from internal.domain.inputs import ANY_OBJECT, Input, input_of

LONGEST_TIMEOUT: Final = timedelta(hours=24)
MOST_ATTEMPTS: Final = 100
MAX_TYPE_CHARS: Final = 200
MAX_POOL_CHARS: Final = 100

Function = Callable[[Any, JobContext], Any]

# Set while a module is imported, so that a handler which is bound to no name is found as well.
_declared: ContextVar[list[Handler]] = ContextVar("_declared")


class DeclarationError(ValueError):
    """A handler is declared that could never run a job."""


def handler(
    type_: str,
    /,
    *,
    timeout: str | None = None,
    max_attempts: int | None = None,
    pool: str = DEFAULT_POOL,
) -> Callable[[Function], Handler]:
    """Declare the function below as what runs jobs of this type.

    The type of its first parameter validates payloads when they are submitted and documents itself
    in `GET /v1/job-types`: a msgspec struct, a dataclass, a TypedDict, a pydantic model or a dict.

    Example:
        @handler("thumbnail", timeout="30s")
        async def thumbnail(job: ThumbnailInput, ctx: JobContext) -> ThumbnailResult: ...

    Raises:
        DeclarationError: when no job could be of such a type, have such a timeout or so many
            attempts, or when the function cannot be called with a payload and a context.
    """
    limit = _checked(type_, timeout, max_attempts, pool)
    caller = inspect.currentframe()
    module = str(caller.f_back.f_globals.get("__name__")) if caller and caller.f_back else ""

    def declare(function: Function) -> Handler:
        where = getattr(_core(function), "__qualname__", None) or type(function).__qualname__
        try:
            taken = _input_of(function)
        except ValueError as error:
            raise DeclarationError(f"{module}.{where} (type {type_!r}): {error}") from error
        found = Handler(
            type=type_,
            function=function,
            input=taken,
            module=module,
            description=inspect.getdoc(function) or "",
            pool=pool,
            timeout_ms=None if limit is None else milliseconds(limit),
            max_attempts=max_attempts,
        )
        if (declared := _declared.get(None)) is not None:
            declared.append(found)
        return found

    return declare


@contextmanager
def declarations() -> Iterator[list[Handler]]:
    """All handlers that are declared while this is open, in their order."""
    found: list[Handler] = []
    token = _declared.set(found)
    try:
        yield found
    finally:
        _declared.reset(token)


def _checked(
    type_: object, timeout: str | None, max_attempts: int | None, pool: object
) -> timedelta | None:
    """Refuse what no job could have; the timeout as a duration."""
    if not isinstance(type_, str):
        raise DeclarationError('the type is missing: write @handler("thumbnail")')
    if not 1 <= len(type_) <= MAX_TYPE_CHARS or any(char < " " or char == "\x7f" for char in type_):
        raise DeclarationError(
            f"the type {type_[:50]!r} must have 1 to {MAX_TYPE_CHARS} characters, none for control"
        )
    if not isinstance(pool, str) or not 1 <= len(pool) <= MAX_POOL_CHARS or ":" in pool:
        raise DeclarationError(
            f"the pool of {type_!r} must have 1 to {MAX_POOL_CHARS} characters without a colon,"
            f" which stands in routes like {PULL_PREFIX}{type_}"
        )
    if max_attempts is not None and not 1 <= max_attempts <= MOST_ATTEMPTS:
        raise DeclarationError(f"max_attempts of {type_!r} must be 1 to {MOST_ATTEMPTS}")
    if timeout is None:
        return None
    try:
        limit = parse_duration(timeout)
    except (AttributeError, ValueError) as error:
        raise DeclarationError(
            f"the timeout of {type_!r} must be a text like '30s', not {timeout!r}"
        ) from error
    if not timedelta(0) < limit <= LONGEST_TIMEOUT:
        raise DeclarationError(f"the timeout of {type_!r} must be 1ms to 24h, not {timeout}")
    return limit


def _input_of(function: Any) -> Input:
    if inspect.isclass(function):
        raise ValueError("it is a class: declare a function, or an object that can be called")
    if not callable(function):
        kind = type(function).__name__
        raise ValueError(f"it cannot be called, being of type {kind}")  # noqa: TRY004 - as above
    core = _core(function)
    if inspect.isgeneratorfunction(core) or inspect.isasyncgenfunction(core):
        raise ValueError("it is a generator, whose values nothing reads: return one result")
    first = _first_parameter(function)
    if first.annotation is inspect.Parameter.empty:
        return input_of(ANY_OBJECT)
    return input_of(_evaluated(first.annotation, core))


def _first_parameter(function: Any) -> inspect.Parameter:
    """The parameter that takes the payload.

    Raises:
        ValueError: unless the function takes exactly a payload and a context by position.
    """
    try:
        signature = inspect.signature(function, follow_wrapped=False)
        first = next(iter(signature.parameters.values()), None)
        if first is not None and first.kind is inspect.Parameter.VAR_POSITIONAL:
            # A decorator that passes on what it is given.
            signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its parameters cannot be seen: {error}") from error
    try:
        signature.bind(None, None)
    except TypeError as error:
        names = ", ".join(signature.parameters) or "nothing"
        raise ValueError(
            f"it must take a payload and a context, like (job, ctx), and takes ({names}): {error}"
        ) from error
    first = next(iter(signature.parameters.values()))
    if _names_context(first.annotation):
        raise ValueError(
            "its first parameter is annotated as the context: the payload comes first, (job, ctx)"
        )
    return first


def _names_context(annotation: Any) -> bool:
    """Whether it is JobContext, which may be known to the type checker only."""
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2].strip("'\" ") == JobContext.__name__
    return annotation is JobContext


def _evaluated(annotation: Any, core: Any) -> Any:
    """Only this one: the context's type and the result's may be known to the type checker only."""
    if not isinstance(annotation, str):
        return annotation
    holder = SimpleNamespace(__annotations__={"job": annotation})
    try:
        return get_type_hints(holder, getattr(core, "__globals__", {}), include_extras=True)["job"]
    except NameError as error:
        name = getattr(error, "name", None) or annotation
        raise ValueError(
            f"the type of its first parameter, {annotation}, is read at run time: import {name}"
            " outside of `if TYPE_CHECKING`, at the module's top level"
        ) from error
    except Exception as error:
        raise ValueError(
            f"the type of its first parameter, {annotation}, cannot be evaluated: {error}"
        ) from error


def _core(function: Any) -> Any:
    """The plain function within partials, methods, callable objects and decorators."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = type(function).__call__
    return inspect.unwrap(getattr(function, "__func__", function))
