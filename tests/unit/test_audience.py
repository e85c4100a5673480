from __future__ import annotations

import asyncio

import pytest

from internal.domain.errors import UnavailableError
from internal.services.audience import RENEWED_EVERY_S, Audience
from internal.services.watcher import Signal, Watcher
from tests.support.audience import ListenersByHand, an_actor

FOREVER = 1_000.0


async def has_begun(beginning: asyncio.Task[None]) -> bool:
    await asyncio.sleep(0)
    return beginning.done()


def begins(watcher: Watcher) -> asyncio.Task[None]:
    return asyncio.create_task(watcher.begin(FOREVER))


async def test_a_watcher_begins_when_the_transactions_under_way_have_ended() -> None:
    listeners = ListenersByHand()
    audience = Audience(listeners)
    watcher = audience.join(an_actor())
    beginning = begins(watcher)
    listeners.under_way = {"one", "two"}
    assert await audience.run_once() is not None
    assert listeners.known == {watcher.actor.user_id}
    listeners.under_way = {"two", "a later one"}
    assert await audience.run_once() is not None
    assert not await has_begun(beginning)

    listeners.under_way = {"a later one"}
    assert await audience.run_once() is None

    assert await has_begun(beginning)


async def test_those_who_come_later_wait_for_their_own_transactions() -> None:
    listeners = ListenersByHand()
    audience = Audience(listeners)
    first = begins(audience.join(an_actor()))
    listeners.under_way = {"one"}
    await audience.run_once()
    second = begins(audience.join(an_actor()))
    listeners.under_way = {"two"}
    await audience.run_once()

    assert await has_begun(first)
    assert not await has_begun(second)
    listeners.under_way = set()
    await audience.run_once()
    assert await has_begun(second)


async def test_a_second_connection_of_a_user_begins_at_once() -> None:
    listeners = ListenersByHand()
    audience = Audience(listeners)
    actor = an_actor()
    audience.join(actor)
    await audience.run_once()
    listeners.under_way = {"one"}

    assert await has_begun(begins(audience.join(actor)))
    await audience.run_once()
    assert len(listeners.asked) == 1


async def test_somebody_who_comes_back_waits_again() -> None:
    """Meanwhile the store may have forgotten them."""
    listeners = ListenersByHand()
    audience = Audience(listeners)
    actor = an_actor()
    audience.leave(audience.join(actor))
    await audience.run_once()
    watcher = audience.join(actor)
    audience.leave(watcher)
    audience.leave(watcher)
    listeners.under_way = {"one"}

    beginning = begins(audience.join(actor))
    await audience.run_once()

    assert not await has_begun(beginning)


async def test_a_wait_that_takes_too_long_ends_in_a_resync() -> None:
    listeners = ListenersByHand()
    audience = Audience(listeners)
    watcher = audience.join(an_actor())
    listeners.under_way = {"a stuck one"}
    await audience.run_once()
    await watcher.begin(0)

    listeners.under_way = set()
    await audience.run_once()

    assert await watcher.next() == [Signal.RESYNC]


async def test_a_round_that_failed_is_made_up_for() -> None:
    listeners = ListenersByHand()
    audience = Audience(listeners)
    beginning = begins(audience.join(an_actor()))
    listeners.failing = UnavailableError("away", retry_after=1)
    with pytest.raises(UnavailableError):
        await audience.run_once()

    await audience.run_once()

    assert await has_begun(beginning)


async def test_watchers_are_renewed_and_told_when_that_was_too_late() -> None:
    now = 0.0
    listeners = ListenersByHand()
    audience = Audience(listeners, now=lambda: now)
    kept, lapsed = audience.join(an_actor()), audience.join(an_actor())
    await audience.run_once()
    for watcher in (kept, lapsed):
        await watcher.begin(FOREVER)
    await audience.run_once()
    assert len(listeners.asked) == 1

    now += RENEWED_EVERY_S
    listeners.known.remove(lapsed.actor.user_id)
    await audience.run_once()

    assert listeners.asked[1] == {kept.actor.user_id, lapsed.actor.user_id}
    assert await lapsed.next() == [Signal.RESYNC]
    kept.tell([Signal.ENDED])
    assert await kept.next() == [Signal.ENDED]
