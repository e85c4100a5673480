"""Password hashes, computed outside the event loop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from passlib.hash import bcrypt_sha256

DEFAULT_ROUNDS: Final = 12
# bcrypt releases the interpreter's lock. Two threads keep a login storm away from the other work.
THREADS: Final = 2

T = TypeVar("T")


class BcryptHasher:
    """`bcrypt_sha256`: SHA-256 first, so that every byte of a long password counts."""

    def __init__(self, rounds: int = DEFAULT_ROUNDS) -> None:
        """Each round more doubles the work; 12 take about a quarter of a second."""
        self._scheme = bcrypt_sha256.using(rounds=rounds)  # type: ignore[no-untyped-call]  # as stubbed
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt")
        # What an unknown user's password is held against: of the same cost, of an unknown password.
        self._dummy = self._scheme.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._scheme.hash(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        right = await self._run(lambda: self._scheme.verify(password, hashed or self._dummy))
        return right and hashed is not None

    def close(self) -> None:
        """Give up what waits; a hash that is being computed is finished."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
