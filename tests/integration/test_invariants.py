"""The report names whatever breaks an invariant; each test breaks one on purpose."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from internal.domain.accounts import Actor
from internal.domain.jobs import Outcome
from internal.domain.ports.work import ClaimedJob
from tests.support.api import Api
from tests.support.invariants import violations
from tests.support.postgres import on_every_postgres
from tests.support.store import ROUTES, Store, a_job, an_end


@pytest.fixture
async def ada(store: Store) -> Actor:
    return await store.a_user()


async def leased(store: Store, actor: Actor, **fields: Any) -> ClaimedJob:
    await store.submit(actor, **fields)
    return await store.claim_one(await store.a_worker())


async def failed(store: Store, actor: Actor) -> UUID:
    job = await leased(store, actor, max_attempts=1)
    await store.work.finish([an_end(job, Outcome.FAILED)])
    return job.id


@on_every_postgres
async def test_nothing_is_broken_by_jobs_in_every_state(store: Store, ada: Actor) -> None:
    worker = await store.a_worker()
    for number in range(4):
        fields = {"idempotency_key": f"key {number}", "backoff": {"strategy": "fixed"}}
        await store.submit(ada, **fields)
    running, failing, succeeding = await store.work.claim(worker, ROUTES, 3)
    await store.work.finish([an_end(failing, Outcome.FAILED), an_end(succeeding)])
    await store.commands.cancel(ada, running.id)
    canceled = await store.submit(ada, run_at="2100-01-01T00:00:00Z")
    await store.commands.cancel(ada, canceled.id)

    assert await violations(store) == {}
    assert await violations(store, in_slices_of=1) == {}


async def test_a_job_that_is_nowhere_is_named(store: Store, ada: Actor) -> None:
    job = await store.submit(ada)
    await store.execute("delete from ready")
    assert await violations(store) == {6: [f"job {job.id} stands nowhere"]}


async def test_a_job_that_waits_twice_is_named(store: Store, ada: Actor) -> None:
    job = await store.submit(ada)
    await store.execute("""
        insert into scheduled (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                               version, run_at)
        select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at
        from ready
    """)
    expected = {6: [f"job {job.id} stands in ready and scheduled"]}

    assert await violations(store) == expected
    assert await violations(store, in_slices_of=1) == expected


async def test_a_finished_job_that_waits_is_named(store: Store, ada: Actor) -> None:
    job = await store.submit(ada)
    await store.execute("""
        insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                              version, run_at, status)
        select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
               6
        from ready
    """)
    assert await violations(store) == {6: [f"job {job.id} stands in ready and in finished"]}


async def test_a_place_of_no_job_is_named(store: Store, ada: Actor) -> None:
    job = await store.submit(ada)
    await store.execute("delete from job")
    what = f"job {job.id} stands in ready, but there is no such job"
    assert await violations(store) == {6: [what]}


async def test_a_place_in_no_queue_is_named(store: Store, ada: Actor) -> None:
    job = await store.submit(ada)
    await store.execute("delete from flow")
    assert await violations(store) == {6: [f"job {job.id} stands in ready without a queue"]}


async def test_a_job_that_is_blocked_by_nothing_is_named(store: Store, ada: Actor) -> None:
    job = await store.submit(ada)
    await store.execute("""
        insert into blocked (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                             version, run_at)
        select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at
        from ready
    """)
    await store.execute("delete from ready")
    assert await violations(store) == {6: [f"job {job.id} is blocked, but by nothing"]}


async def test_a_job_is_blocked_until_what_it_waits_for_has_ended(store: Store, ada: Actor) -> None:
    parent = await leased(store, ada)
    child = await store.submit(ada, depends_on=[str(parent.id)])
    assert await violations(store) == {}
    await store.work.finish([an_end(parent)])
    assert await violations(store) == {}, "a releaser needs a moment"

    await store.execute("delete from dependency_note")
    assert await violations(store) == {6: [f"job {child.id} is blocked, but by nothing"]}


@pytest.mark.parametrize("place", ["ready", "scheduled", "lease"])
async def test_a_job_whose_parent_would_end_untold_is_named(
    store: Store, ada: Actor, place: str
) -> None:
    later = {"run_at": "2100-01-01T00:00:00Z"} if place == "scheduled" else {}
    parent = await store.submit(ada, **later)
    child = await store.submit(ada, depends_on=[str(parent.id)])
    if place == "lease":
        await store.claim_one(await store.a_worker())
    await store.execute(f"update {place} set awaited = false")  # noqa: S608
    assert await violations(store) == {}, "a note of the submission is still to be looked at"
    await store.execute("delete from dependency_note")
    assert await violations(store) == {6: [f"job {child.id} is blocked, but by nothing"]}


@pytest.mark.parametrize(
    "end",
    [
        "delete from worker where id = $1",
        "update worker set expires_at = now() - interval '2 minutes' where id = $1",
    ],
    ids=["left", "expired"],
)
async def test_a_lease_that_nobody_rescues_is_named_after_a_while(
    store: Store, ada: Actor, end: str
) -> None:
    job = await store.submit(ada)
    worker = await store.a_worker()
    await store.claim_one(worker)
    await store.execute(end, worker)
    assert await violations(store) == {}, "a lifeline needs a moment"

    await store.execute("update lease set since = now() - interval '2 minutes'")
    what = f"job {job.id} is leased to {worker}, which ended, and nobody rescues it"
    assert await violations(store) == {6: [f"{what}: does a worker run?"]}


async def test_a_job_that_is_leased_twice_is_named(store: Store, ada: Actor) -> None:
    job = await leased(store, ada)
    await store.execute("alter table lease drop constraint lease_pkey")
    await store.execute("insert into lease select * from lease")
    found = await violations(store)
    assert found[2] == [f"job {job.id} is leased twice"]
    assert found[4] == ["queue default (1) counts 1 running jobs, the leases are 2"]


async def test_a_token_that_no_version_gave_is_named(store: Store, ada: Actor) -> None:
    job = await leased(store, ada)
    await store.execute("update lease set token = 9")
    what = f"job {job.id} is leased with the token 9, its version is 2"
    assert await violations(store) == {2: [what]}


async def test_a_lease_for_a_start_that_has_ended_is_named(store: Store, ada: Actor) -> None:
    job = await leased(store, ada)
    await store.execute("""
        insert into attempt (job_id, number, user_id, status, worker_id, started_at, finished_at)
        select job_id, number, user_id, 6, worker_id, since, now() from lease
    """)
    found = await violations(store)
    assert found[2] == [f"job {job.id} is leased for start 1, which has ended"]


async def test_a_counter_that_drifted_is_named(store: Store, ada: Actor) -> None:
    await leased(store, ada, queue="emails")
    await store.upkeep.fold_counters(100)
    assert await violations(store) == {}

    await store.execute("update counter set running = running + 2")
    what = "queue emails (1) counts 3 running jobs, the leases are 1"
    assert await violations(store) == {4: [what]}


async def test_a_waiting_job_without_an_attempt_left_is_named(store: Store, ada: Actor) -> None:
    job = await store.submit(ada)
    await store.execute("update ready set max_attempts = 0")
    what = f"job {job.id} stands in ready with 0 of 0 attempts used up"
    assert await violations(store) == {7: [what]}


async def test_a_job_that_ended_after_too_many_attempts_is_named(store: Store, ada: Actor) -> None:
    job = await failed(store, ada)
    await store.execute("alter table finished drop constraint finished_attempts")
    await store.execute("update finished set max_attempts = 0")
    what = f"job {job} ended with 1 of 0 attempts used up"
    assert await violations(store) == {7: [what]}


async def test_an_attempt_that_is_not_on_record_is_named(store: Store, ada: Actor) -> None:
    waiting = await store.submit(ada)
    await store.work.finish([an_end(await store.claim_one(await store.a_worker()), Outcome.FAILED)])
    ended = await failed(store, ada)
    await store.execute("delete from attempt")

    assert await violations(store) == {
        7: [
            f"job {waiting.id} has used up 1 attempts, on record are 0 and 0 lost ones",
            f"job {waiting.id} was started 1 times, on record are 0",
            f"job {ended} used up 1 attempts, on record are 0 and 0 lost ones",
            f"job {ended} was started 1 times, on record are 0",
        ]
    }


async def test_a_job_whose_key_was_lost_is_named(store: Store, ada: Actor) -> None:
    job = await store.submit(ada, idempotency_key="order 7")
    await store.execute("delete from idempotency")
    what = f"job {job.id} has an idempotency key that does not name it"
    assert await violations(store) == {8: [what]}


async def test_a_key_of_no_job_or_another_is_named(store: Store, ada: Actor) -> None:
    lost = await store.submit(ada, idempotency_key="order 7")
    other = await store.submit(ada)
    await store.execute("delete from job where id = $1", lost.id)
    await store.execute("delete from ready where job_id = $1", lost.id)
    what = f"an idempotency key names job {lost.id}, which is not there"
    assert await violations(store) == {8: [what]}

    await store.execute("update idempotency set job_id = $1", other.id)
    what = f"an idempotency key names job {other.id}, which has another one"
    assert await violations(store) == {8: [what]}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("update ready set user_id = $1", "job {} is one user's, its place in ready another's"),
        ("update flow set user_id = $1", "job {} stands in another user's queue"),
        ("update idempotency set user_id = $1", "an idempotency key names job {} of another user"),
        ("update attempt set user_id = $1", "job {} has an attempt of another user"),
    ],
    ids=["place", "queue", "key", "attempt"],
)
async def test_what_is_another_users_is_named(
    store: Store, ada: Actor, change: str, what: str
) -> None:
    job = await leased(store, ada, idempotency_key="order 7")
    await store.work.finish([an_end(job, Outcome.RELEASED)])
    eve = await store.a_user()
    await store.execute(change, eve.user_id)
    assert what.format(job.id) in (await violations(store))[9]


@pytest.mark.parametrize(
    ("number", "change", "what"),
    [
        (6, "update finished set user_id = $1", "job {} stands nowhere"),
        (9, "update flow set user_id = $1", "job {} ended in another user's queue"),
        (9, "update attempt set user_id = $1", "job {} has an attempt of another user"),
    ],
    ids=["place", "queue", "attempt"],
)
async def test_what_ended_as_another_users_is_named(
    store: Store, ada: Actor, number: int, change: str, what: str
) -> None:
    job, eve = await failed(store, ada), await store.a_user()
    await store.execute(change, eve.user_id)
    found = (await violations(store))[number]
    assert any(each.startswith(what.format(job)) for each in found)


async def test_a_job_that_finished_twice_is_named(store: Store, ada: Actor) -> None:
    job = await failed(store, ada)
    await store.execute("""
        insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                              version, run_at, status)
        select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
               6
        from finished
    """)
    assert await violations(store) == {6: [f"job {job} has finished 2 times"]}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("update flow set awake = false", "queue emails (1) sleeps, and has queued jobs"),
        (
            "update flow set low = '2100-01-01Z'",
            "queue emails (1) begins at 2100-01-01 00:00:00+00, and has a job queued for ",
        ),
        (
            "update tenant set awake = false",
            "user {} sleeps, and has jobs in queue emails (1) that a worker serves",
        ),
    ],
    ids=["asleep", "hidden", "user asleep"],
)
async def test_queued_jobs_that_no_claim_would_find_are_named(
    store: Store, ada: Actor, change: str, what: str
) -> None:
    await store.a_worker()
    await store.execute("update worker set started_at = now() - interval '1 minute'")
    await store.submit(ada, queue="emails")
    assert await violations(store) == {}

    await store.execute(change)
    ((found,),) = (await violations(store)).values()
    assert found.startswith(what.format(ada.user_id))


async def test_many_violations_are_counted_and_the_first_named(store: Store, ada: Actor) -> None:
    await store.submissions.submit(ada, [a_job(n) for n in range(23)])
    await store.execute("delete from ready")
    found = (await violations(store, in_slices_of=5))[6]
    assert len(found) == 21
    assert found[-1] == "and 3 more"


async def test_every_lease_is_looked_at_however_many_jobs_wait(store: Store, ada: Actor) -> None:
    eve = await store.a_user()
    job = await leased(store, eve)
    await store.execute("update lease set token = 9")
    await store.submissions.submit(ada, [a_job(n) for n in range(9)])
    (found,) = (await violations(store, in_slices_of=2, at_most=4)).values()
    assert found == [f"job {job.id} is leased with the token 9, its version is 2"]


async def test_an_admin_reads_how_all_nine_stand(api: Api) -> None:
    root = await api.a_user()
    await api.store.execute("update account set role = 'admin' where email = $1", root.email)

    answer = await root.client.get("/v1/admin/invariants")

    assert answer.status_code == 200
    data = answer.json()["data"]
    assert [each["number"] for each in data] == list(range(1, 10))
    assert [each["how"] for each in data].count("test") == 3
    assert {each["number"] for each in data if not each["holds"]} == {1}
    # The tests' server is one that may forget, and says so.
    assert "PostgreSQL runs with fsync = off: a crash may lose jobs" in data[0]["violations"]
    assert list(data[1]) == ["number", "statement", "how", "holds", "violations", "checked_at"]
    assert len({each["checked_at"] for each in data}) == 1
    assert (await root.client.get("/v1/admin/invariants")).json()["data"] == data
