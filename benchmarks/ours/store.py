"""The one place that reaches past Windlass's commands and its HTTP: to fill a database fast."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from internal.adapters.postgres.accounts import PostgresUsers
from internal.adapters.postgres.clock import PostgresClock
from internal.adapters.postgres.database import open_database
from internal.adapters.postgres.sessions import PostgresSessions
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.adapters.security.tokens import Tokens
from internal.bootstrap.settings import read_settings
from internal.bootstrap.wiring import Store, handlers_of, jobs_of, queues_of
from internal.domain.accounts import Actor, Role
from internal.domain.ids import new_id
from internal.domain.queues import QueueSettings
from internal.domain.submission import Submission
from internal.services.jobs import Jobs

BATCH: Final = 5_000
# One batch is checked while PostgreSQL writes another.
AT_ONCE: Final = 2
SESSION: Final = timedelta(days=1)

Environment = Mapping[str, str]


class User(msgspec.Struct, frozen=True):
    """An account with its session; the token is what its clients send."""

    actor: Actor
    token: str


@asynccontextmanager
async def opened(environment: Environment) -> AsyncIterator[Store]:
    """The database and its wake-ups, as a process of ours has them."""
    settings = read_settings(environment)
    database = await open_database(settings.database_url, name="bench", size=AT_ONCE + 1)
    wakeups = PostgresWakeups(settings.database_url)
    telling = asyncio.create_task(wakeups.run())
    try:
        yield Store(database, database, wakeups, PostgresClock(database, new_id), settings)
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await database.close()


def jobs_in(store: Store) -> Jobs:
    """The use cases around jobs, as the API has them."""
    return jobs_of(store, handlers_of(store.settings))


def make_users(environment: Environment, count: int) -> list[User]:
    """Accounts that nobody can log in to: their tokens are issued here."""

    async def make() -> list[User]:
        async with opened(environment) as store:
            return [await _make_user(store, number) for number in range(count)]

    return asyncio.run(make())


async def _make_user(store: Store, number: int) -> User:
    user = await PostgresUsers(store.database).add(f"user-{number}@example.com", "*", Role.USER)
    session = await PostgresSessions(store.database, store.wakeups).open(user.id, SESSION)
    issuer = Tokens(store.settings.jwt_secret, SESSION)
    token, _ = issuer.access(session, datetime.now(UTC))
    return User(issuer.verify(token), token)


def prefill(
    environment: Environment, users: Sequence[User], requests: Sequence[Submission], jobs: int
) -> None:
    """Queue jobs, the same number for each user, as batches of the API would be."""

    async def fill() -> None:
        async with opened(environment) as store:
            service, batches = jobs_in(store), _batches(users, jobs // len(users))

            async def some() -> None:
                for user, size in batches:
                    batch = [requests[number % len(requests)] for number in range(size)]
                    await service.submit_batch(user.actor, batch)

            await asyncio.gather(*(some() for _ in range(AT_ONCE)))

    asyncio.run(fill())


def set_limits(environment: Environment, users: Sequence[User], limits: QueueSettings) -> None:
    """Limit the default queue of each of these users."""

    async def limit() -> None:
        async with opened(environment) as store:
            for user in users:
                await queues_of(store).set(user.actor, "default", limits)

    asyncio.run(limit())


def _batches(users: Sequence[User], each: int) -> Iterator[tuple[User, int]]:
    for start in range(0, each, BATCH):
        for user in users:
            yield user, min(BATCH, each - start)
