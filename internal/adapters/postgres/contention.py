"""Tries again at once where others were in the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from internal.domain.errors import ContentionError

# Statements lock in one order wherever there is one; where two parts meet that cannot, the server
# ends one of them after a second.
CONTENTIONS: Final = 3

T = TypeVar("T")
Arguments = ParamSpec("Arguments")


async def again(work: Callable[[], Awaitable[T]]) -> T:
    """Do something that is all or nothing; where others are in the way, a few times more.

    Raises:
        UnavailableError: when the database is away, or others do not cease to be in the way.
    """
    for _ in range(CONTENTIONS):
        try:
            return await work()
        except ContentionError:
            continue
    return await work()


def retrying_contention(
    method: Callable[Arguments, Awaitable[T]],
) -> Callable[Arguments, Coroutine[Any, Any, T]]:
    """`again` for each call of a method that is all or nothing."""

    @wraps(method)
    async def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> T:
        return await again(lambda: method(*arguments, **named))

    return call
