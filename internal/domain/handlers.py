"""How operators declare what a job type does: the face behind `from windlass import handler`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol, get_type_hints
from uuid import UUID

import msgspec

from internal.domain.durations import milliseconds, parse_duration
from internal.domain.jobs import Status

DEFAULT_POOL: Final = "default"
ANY_OBJECT: Final[Any] = dict[str, Any]
PULL_PREFIX: Final = "pull:"
LONGEST_TIMEOUT: Final = timedelta(hours=24)
MOST_ATTEMPTS: Final = 100


class Parent(msgspec.Struct, frozen=True):
    """A job that another one waited for.

    `status` is None where it has not ended, as when the other one was retried by hand.
    `raw_result` is its result as JSON text, for who wants to decode it into a type. Results
    that are too large together are left out.
    """

    id: UUID
    name: str | None
    type: str
    status: Status | None
    raw_result: str | None = None
    is_left_out: bool = False

    @property
    def result(self) -> Any:
        """What it returned, decoded; None when it did not succeed.

        Raises:
            LookupError: when it was left out.
        """
        if self.is_left_out:
            raise LookupError(f"the result of job {self.id} is too large to be handed over")
        return None if self.raw_result is None else msgspec.json.decode(self.raw_result)


class JobContext(Protocol):
    """What a handler knows about the attempt it runs."""

    @property
    def job_id(self) -> UUID:
        """The job's id."""

    @property
    def type(self) -> str:
        """The job's type."""

    @property
    def attempt(self) -> int:
        """Which start of the job this is, counted from 1."""

    @property
    def attempts(self) -> int:
        """How many attempts failed or were lost before this one."""

    @property
    def max_attempts(self) -> int:
        """After how many failed attempts the job fails for good."""

    @property
    def parents(self) -> Mapping[str, Parent]:
        """The jobs that this one waited for, by name, or by id as text where they have none."""

    @property
    def canceled(self) -> bool:
        """Whether the owner asked for a cancel: finish or raise soon."""

    def progress(self, share: float, note: str | None = None) -> None:
        """Report how much is done, from 0 to 1; the newest report is shown within a second.

        A note, of 200 characters at most, says it in words, and stays until the next one.
        """

    def log(self, line: object) -> None:
        """Add a line to the attempt's log, which its owner sees within a second.

        Of an attempt 1,000 lines are kept, 100 a second, and of a line 2,000 characters. May be
        called from any thread.
        """


def _duration(value: str | timedelta) -> timedelta:
    """Refused here, where the handler's author sees it, and not where its end is recorded."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise TypeError(f"a duration is a text like '30s' or a timedelta, not {value!r}")


class Retry(Exception):
    """Try again: after the job's backoff, or after `after` (a duration text or timedelta)."""

    def __init__(
        self, reason: str = "retry asked for", *, after: str | timedelta | None = None
    ) -> None:
        super().__init__(reason)
        self.after = None if after is None else _duration(after)


class Fail(Exception):
    """Fail for good: no further attempt would help."""


class Snooze(Exception):
    """Run again after `for_`, without counting this attempt."""

    def __init__(self, for_: str | timedelta) -> None:
        self.for_ = _duration(for_)
        super().__init__(f"snoozed for {self.for_}")


class Handler(msgspec.Struct, frozen=True):
    """A job type's declaration. `timeout_ms` and `max_attempts` override the settings."""

    type: str
    function: Callable[[Any, JobContext], Any]
    input_type: Any
    description: str
    pool: str = DEFAULT_POOL
    timeout_ms: int | None = None
    max_attempts: int | None = None

    @property
    def takes_any_object(self) -> bool:
        """Whether there is nothing to hold a payload against."""
        return self.input_type is ANY_OBJECT

    @property
    def is_async(self) -> bool:
        """Async handlers run on the worker's loop, the others in threads."""
        return inspect.iscoroutinefunction(self.function)


def handler(
    type_: str,
    /,
    *,
    timeout: str | None = None,
    max_attempts: int | None = None,
    pool: str = DEFAULT_POOL,
) -> Callable[[Callable[[Any, JobContext], Any]], Handler]:
    """Declare the function below as what runs jobs of this type.

    The type of its first parameter, a msgspec struct or a dict, validates payloads when they are
    submitted and documents itself in `GET /v1/job-types`.

    Example:
        @handler("thumbnail", timeout="30s")
        async def thumbnail(job: ThumbnailInput, ctx: JobContext) -> ThumbnailResult: ...

    Raises:
        ValueError: when no job could have such a timeout or so many attempts.
    """
    limit = None if timeout is None else parse_duration(timeout)
    if limit is not None and not timedelta(0) < limit <= LONGEST_TIMEOUT:
        raise ValueError(f"the timeout of {type_!r} must be 1ms to 24h, not {timeout}")
    if max_attempts is not None and not 1 <= max_attempts <= MOST_ATTEMPTS:
        raise ValueError(f"max_attempts of {type_!r} must be 1 to {MOST_ATTEMPTS}")

    def declare(function: Callable[[Any, JobContext], Any]) -> Handler:
        return Handler(
            type=type_,
            function=function,
            input_type=_input_type(function),
            description=inspect.getdoc(function) or "",
            pool=pool,
            timeout_ms=None if limit is None else milliseconds(limit),
            max_attempts=max_attempts,
        )

    return declare


def _input_type(function: Callable[..., Any]) -> Any:
    first = next(iter(inspect.signature(function).parameters))
    input_type = get_type_hints(function).get(first, ANY_OBJECT)
    return ANY_OBJECT if input_type == ANY_OBJECT else input_type


def pull_route(type_: str) -> str:
    """The route of jobs that only workers with this type's handler take."""
    return PULL_PREFIX + type_


class Handlers(Mapping[str, Handler]):
    """The job types that this installation runs."""

    def __init__(self, declared: Iterable[Handler]) -> None:
        """Raise ValueError when two handlers want the same type; the same one twice is fine."""
        self._by_type: dict[str, Handler] = {}
        for each in declared:
            rival = self._by_type.setdefault(each.type, each)
            if rival is not each:
                places = f"{rival.function.__module__} and {each.function.__module__}"
                raise ValueError(f"the type {each.type!r} has two handlers, in {places}")

    def __getitem__(self, type_: str) -> Handler:
        return self._by_type[type_]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_type)

    def __len__(self) -> int:
        return len(self._by_type)

    def find(self, type_: str) -> Handler | None:
        """The handler of a type; `get` would raise and catch an error for an unknown one."""
        return self._by_type.get(type_)

    def route_of(self, type_: str) -> str:
        """Which workers a job goes to: its handler's pool, or whoever pulls its type."""
        known = self._by_type.get(type_)
        return pull_route(type_) if known is None else known.pool

    def routes(self) -> tuple[str, ...]:
        """What a worker with these handlers serves.

        The types' own routes are among them: jobs that came before their handler was installed
        wait there.
        """
        pools = {each.pool for each in self._by_type.values()}
        return tuple(sorted(pools | {pull_route(type_) for type_ in self._by_type}))
