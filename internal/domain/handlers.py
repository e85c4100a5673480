"""The handlers of job types, and what they know about the attempt they run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from internal.domain.inputs import Input
from internal.domain.jobs import Status

DEFAULT_POOL: Final = "default"
PULL_PREFIX: Final = "pull:"


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
    def user_id(self) -> UUID:
        """The user whose job it is."""

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


class Handler(msgspec.Struct, frozen=True):
    """A job type's declaration. `timeout_ms` and `max_attempts` override the settings.

    `module` is where it was declared.
    """

    type: str
    function: Callable[[Any, JobContext], Any]
    input: Input
    module: str
    description: str
    pool: str = DEFAULT_POOL
    timeout_ms: int | None = None
    max_attempts: int | None = None

    @property
    def is_async(self) -> bool:
        """Async handlers run on the worker's loop, the others in threads.

        One that only gives an awaitable back begins in a thread, and is awaited on the loop.
        """
        function: Any = self.function
        return inspect.iscoroutinefunction(function) or (
            not inspect.isroutine(function) and inspect.iscoroutinefunction(type(function).__call__)
        )


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
                places = f"{rival.module} and {each.module}"
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

    def running_code(self, types: Iterable[str]) -> list[str]:
        """Those of some types to read whose payloads may run code of an operator."""
        known = {type_: self._by_type.get(type_) for type_ in types}
        return [type_ for type_, each in known.items() if each and each.input.runs_code]

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
