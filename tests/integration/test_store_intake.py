from __future__ import annotations

import asyncio

import pytest

from internal.domain.errors import (
    IdempotencyConflictError,
)
from internal.domain.jobs import Status
from tests.support.postgres import on_every_postgres
from tests.support.store import Store, a_job, open_store

pytestmark = on_every_postgres


async def test_a_payload_comes_back_byte_for_byte(store: Store) -> None:
    actor = await store.a_user()
    text = '{"big":12345678901234567890123, "price": 1.10,"twice":1,"twice":2, "nul":"\\u0000"}'
    job = a_job()
    exact = type(job)(**{**{f: getattr(job, f) for f in job.__struct_fields__}, "payload": text})

    await store.submissions.submit(actor, [exact])

    assert (await store.job(actor, exact.id)).payload == text


async def test_the_same_key_and_request_give_the_same_job(store: Store) -> None:
    actor, other = await store.a_user(), await store.a_user()
    first = await store.submit(actor, idempotency_key="k", payload={"a": 1})

    again = await store.submit(actor, idempotency_key="k", payload={"a": 1})
    foreign = await store.submit(other, idempotency_key="k", payload={"a": 2})
    with pytest.raises(IdempotencyConflictError):
        await store.submit(actor, idempotency_key="k", payload={"a": 2})

    assert (again.id, again.deduplicated) == (first.id, True)
    assert foreign.id != first.id
    assert (await store.statistics.stats(actor)).by_status[Status.QUEUED] == 1


async def test_a_batch_is_kept_whole_or_not_at_all(store: Store) -> None:
    actor = await store.a_user()
    await store.submit(actor, idempotency_key="k", payload={"a": 1})
    batch = [a_job(0), a_job(1, idempotency_key="new"), a_job(2, idempotency_key="k")]

    with pytest.raises(IdempotencyConflictError) as refused:
        await store.submissions.submit(actor, batch)

    assert refused.value.details[0].index == 2
    assert (await store.statistics.stats(actor)).by_status[Status.QUEUED] == 1
    same = a_job(2, idempotency_key="k", payload={"a": 1})
    twin = a_job(3, idempotency_key="new")
    kept = await store.submissions.submit(actor, [*batch[:2], same, twin])
    assert [each.deduplicated for each in kept] == [False, False, True, True]
    assert kept[3].id == kept[1].id


async def test_a_key_is_free_again_when_its_job_is_deleted(store: Store) -> None:
    actor = await store.a_user()
    first = await store.submit(actor, idempotency_key="k")
    await store.commands.cancel(actor, first.id)
    await store.commands.delete(actor, first.id)

    again = await store.submit(actor, idempotency_key="k", payload={"new": True})

    assert again.id != first.id
    assert not again.deduplicated
    assert await store.reads.get(actor, first.id) is None
    assert await store.reads.attempts(actor, first.id, 20) is None


async def test_many_connections_with_one_key_make_one_job(database_url: str) -> None:
    async with open_store(database_url, size=32) as store:
        actor = await store.a_user()
        asked = [store.submit(actor, idempotency_key="k") for _ in range(64)]
        batches = [
            store.submissions.submit(
                actor, [a_job(0, idempotency_key="k2"), a_job(1, idempotency_key="k")]
            )
            for _ in range(16)
        ]

        answers = await asyncio.gather(*asked)
        together = await asyncio.gather(*batches)

        assert len({each.id for each in answers} | {pair[1].id for pair in together}) == 1
        assert len({pair[0].id for pair in together}) == 1
        assert (await store.statistics.stats(actor)).by_status[Status.QUEUED] == 2
