"""Running the schedules that are due."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from internal.domain import schedules
from internal.domain.accounts import Actor
from internal.domain.errors import UnavailableError
from internal.domain.jobs import JobSummary, Status
from internal.domain.listing import JobFilter, Page
from internal.domain.ports.schedules import Firing
from internal.domain.schedules import Schedule, ScheduleRequest, slot_key
from internal.domain.slots import MOST_MADE_UP
from tests.support.api import Settings, SignedUp, running_api
from tests.support.conditions import eventually
from tests.support.postgres import on_every_postgres
from tests.support.routes import submit
from tests.support.schedules import (
    CALENDAR,
    a_schedule,
    a_scheduler,
    be_late,
    copy,
    is_any_due,
    keys,
    work_off,
)
from tests.support.store import DEFAULTS, Store, open_store

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MINUTE = timedelta(minutes=1)
MS = timedelta(milliseconds=1)


async def jobs_of(store: Store, actor: Actor) -> list[JobSummary]:
    return (await store.listing.page(actor, JobFilter(), Page(limit=200))).jobs


@on_every_postgres
async def test_a_slot_that_has_come_is_a_job_and_the_next_one_waits(store: Store) -> None:
    actor = await store.a_user()
    payload = {"n": [1, 2]}
    job = {"type": "x", "payload": payload, "queue": "q", "priority": "low", "tags": ["a"]}
    schedule = await a_schedule(store, actor, job=job)
    await be_late(store, MINUTE)
    late = await store.schedules.get(actor, schedule.id)

    pause = await a_scheduler(store).run_once()

    assert late.next_run_at is not None
    (summary,) = await jobs_of(store, actor)
    made = await store.job(actor, summary.id)
    assert made.idempotency_key == slot_key(schedule.id, late.next_run_at)
    assert (made.type, made.queue, made.priority, made.tags) == ("x", "q", "low", ("a",))
    assert (made.status, made.payload) == (Status.QUEUED, msgspec.json.encode(payload).decode())
    assert pause is not None
    assert timedelta(0) < pause <= MINUTE
    after = await store.schedules.get(actor, schedule.id)
    moved = {"next_run_at": late.next_run_at + MINUTE, "last_job_id": made.id}
    assert after == msgspec.structs.replace(late, last_run_at=made.created_at, **moved)


async def test_nothing_runs_before_its_time_or_while_paused(store: Store) -> None:
    actor = await store.a_user()
    schedule = await a_schedule(store, actor)
    paused = await a_schedule(store, actor, name="paused", paused=True)
    pause = await a_scheduler(store).run_once()
    assert pause is not None
    assert timedelta(seconds=50) < pause <= MINUTE
    await store.schedules.change(actor, schedule.id, schedules.pause)
    assert await a_scheduler(store).run_once() is None
    assert await store.schedules.get(actor, paused.id) == paused
    assert await jobs_of(store, actor) == []


async def test_a_job_may_wait_for_some_time_after_its_slot(store: Store) -> None:
    actor = await store.a_user()
    await a_schedule(store, actor, job={"type": "x", "delay_ms": 3_600_000})
    await be_late(store, MINUTE)
    await work_off(store)
    (job,) = await jobs_of(store, actor)
    assert (job.status, job.run_at - job.created_at) == (Status.SCHEDULED, HOUR)


@pytest.mark.parametrize(("missed", "slots"), [("once", 1), ("all", 3)])
async def test_what_is_not_to_be_missed_waits_for_room(
    database_url: str, missed: str, slots: int
) -> None:
    """And keeps nobody else waiting."""
    async with running_api(database_url, Settings(max_unfinished=1)) as api:
        ada, eve = await api.a_user(), await api.a_user()
        last_job = (await submit(ada))["id"]
        full, other = await made_by(ada, missed=missed), await made_by(eve)
        await be_late(api.store, 3 * MINUTE)

        pause = await a_scheduler(api.store).run_once()

        assert pause is not None
        assert timedelta(seconds=4) < pause <= timedelta(seconds=5)
        assert (await seen_by(eve, other))["last_job_id"] is not None
        next_run_at = datetime.fromisoformat(full["next_run_at"])
        expected = [next_run_at - number * MINUTE for number in range(slots, 0, -1)]
        for slot in expected:
            seen = await seen_by(ada, full)
            assert datetime.fromisoformat(seen["next_run_at"]) == slot
            assert "your limit of 1 unfinished jobs" in seen["last_error"]
            await ada.client.post(f"/v1/jobs/{last_job}/cancel")
            await api.store.execute("update schedule set held_until = now()")
            await work_off(api.store)
            last_job = (await seen_by(ada, full))["last_job_id"]
        seen = await seen_by(ada, full)
        assert (seen["last_error"], seen["next_run_at"]) == (None, full["next_run_at"])
        found = [key for key in await keys(api.store) if key and full["id"] in key]
        assert sorted(found) == [slot_key(UUID(full["id"]), slot) for slot in expected]


async def made_by(user: SignedUp, **fields: Any) -> dict[str, Any]:
    body = {"name": "a", "every_ms": 60_000, "job": {"type": "noop"}, **fields}
    answer = await user.client.post("/v1/schedules", json=body)
    assert answer.status_code == 201, answer.text
    schedule: dict[str, Any] = answer.json()["data"]
    return schedule


async def seen_by(user: SignedUp, schedule: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = (await user.client.get(f"/v1/schedules/{schedule['id']}")).json()["data"]
    return seen


async def test_those_who_wait_for_room_go_last(store: Store) -> None:
    actor = await store.a_user()
    held = [await a_schedule(store, actor, name=f"{n}", missed="all") for n in range(3)]
    on_time = await a_schedule(store, actor, name="on time")
    behind = await a_schedule(store, actor, name="behind", missed="all")
    late = "update schedule set next_run_at = next_run_at - $2::interval where id = any($1)"
    await store.execute(late, [on_time.id], MINUTE)
    await store.execute(late, [behind.id, *(each.id for each in held)], HOUR)
    ids = [each.id for each in held]
    await store.execute("update schedule set held_until = now() where id = any($1)", ids)
    scheduler, order = a_scheduler(store), []

    def decide(schedule: Schedule, now: datetime, *, is_busy: bool) -> Firing:
        order.append(schedule.id)
        return Firing((), now + HOUR)

    while await is_any_due(store):
        await scheduler.due.fire(1, decide)

    assert (order[:2], set(order[2:])) == ([on_time.id, behind.id], set(ids))


async def test_a_slot_beyond_its_users_quota_is_told_and_the_next_one_may_run(
    database_url: str,
) -> None:
    async with open_store(database_url, most_unfinished=1) as store:
        actor = await store.a_user()
        schedule = await a_schedule(store, actor)
        waiting = await store.submit(actor)
        await be_late(store, MINUTE)

        await work_off(store)

        after = await store.schedules.get(actor, schedule.id)
        assert after.last_job_id is None
        assert "1" in (after.last_error or "")
        assert after.next_run_at is not None
        assert after.next_run_at > datetime.now(UTC)
        await store.commands.cancel(actor, waiting.id)
        await be_late(store, MINUTE)
        await work_off(store)
        assert (await store.schedules.get(actor, schedule.id)).last_error is None


@pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("once", 1), ("all", 24)])
async def test_an_installation_that_stood_still_for_a_day_makes_up_what_the_rule_says(
    store: Store, missed: str, runs: int
) -> None:
    """The schedules stand in the database as they stood a day ago."""
    actor = await store.a_user()
    half_an_hour_ago = (datetime.now(UTC) - HOUR / 2).minute
    cron = f"{half_an_hour_ago} * * * *"
    schedule = await a_schedule(store, actor, cron=cron, missed=missed)
    assert schedule.next_run_at is not None
    await be_late(store, DAY)

    await work_off(store)

    slots = [schedule.next_run_at - number * HOUR for number in range(1, 25)]
    expected = [slot_key(schedule.id, slot) for slot in slots[:runs]]
    assert sorted(await keys(store)) == sorted(expected)
    after = await store.schedules.get(actor, schedule.id)
    assert after.next_run_at == schedule.next_run_at
    newest = [each.id for each in (await jobs_of(store, actor))[:1]]
    assert ([] if after.last_job_id is None else [after.last_job_id]) == newest


async def test_what_stood_still_for_long_makes_up_the_newest_ten_thousand(store: Store) -> None:
    actor = await store.a_user()
    schedule = await a_schedule(store, actor, cron="* * * * *", missed="all")
    assert schedule.next_run_at is not None
    await be_late(store, 10 * DAY)
    await work_off(store)
    found = Counter(await keys(store))
    assert set(found.values()) == {1}
    # a minute may have come while it was at work
    assert MOST_MADE_UP <= len(found) <= MOST_MADE_UP + 1
    newest = slot_key(schedule.id, schedule.next_run_at - MINUTE)
    assert newest in found


@pytest.mark.parametrize(("number", "slots"), [(1, 1000), (100, 10), (1000, 1)])
async def test_four_workers_that_run_the_same_thousand_slots_run_each_exactly_once(
    database_url: str, store: Store, number: int, slots: int
) -> None:
    actor = await store.a_user()
    # so large that the slots of one are made up in several parts
    payload = {"text": "x" * 60_000} if number == 1 else {}
    job = {"type": "noop", "payload": payload}
    schedule = await a_schedule(store, actor, every_ms=HOUR // MS, missed="all", job=job)
    ids = await copy(store, number - 1)
    await be_late(store, slots * HOUR)
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_store(database_url)) for _ in range(4)]
        await asyncio.gather(*map(work_off, stores))

    expected = {slot_key(each, slot) for each in ids for slot in slots_before(schedule, slots)}
    assert len(expected) == 1000
    assert Counter(await keys(store)) == Counter(expected)
    after = [await store.schedules.get(actor, each) for each in ids[:10]]
    assert {each.next_run_at for each in after} == {schedule.next_run_at}


def slots_before(schedule: Schedule, number: int) -> list[datetime]:
    assert schedule.next_run_at is not None
    return [schedule.next_run_at - (n + 1) * HOUR for n in range(number)]


@on_every_postgres
async def test_a_worker_killed_in_the_middle_leaves_nothing_half_done(
    database_url: str, store: Store
) -> None:
    actor = await store.a_user()
    made = [await a_schedule(store, actor, name=f"{n}", missed="all") for n in range(3)]
    await be_late(store, 5 * MINUTE)
    before = [await store.schedules.get(actor, each.id) for each in made]
    async with open_store(database_url) as victim, store.database.hot() as blocker:
        running = await stopped_in_the_middle(store, actor, before[1], victim, blocker)
        await kill_whoever_waits(store)
        with pytest.raises(UnavailableError):
            await running
        await blocker.execute("rollback")

    assert await keys(store) == []
    assert [await store.schedules.get(actor, each.id) for each in made] == before
    await work_off(store)
    found = Counter(await keys(store))
    assert (len(found), set(found.values())) == (3 * 5, {1})


async def stopped_in_the_middle(
    store: Store, actor: Actor, schedule: Schedule, runner: Store, blocker: Any
) -> asyncio.Task[timedelta | None]:
    """A round that waits: another transaction has just taken the key of one of its slots."""
    assert schedule.next_run_at is not None
    key = slot_key(schedule.id, schedule.next_run_at)
    await blocker.execute("begin")
    await blocker.execute(
        "insert into idempotency (user_id, key, request_hash, job_id) values ($1, $2, '', $1)",
        actor.user_id,
        key,
    )
    running = asyncio.create_task(a_scheduler(runner).run_once())
    await eventually(lambda: waits(store))
    return running


SUBMITS = "%keep new jobs%"


async def waits(store: Store, what: str = SUBMITS) -> bool:
    query = """
        select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and lower(query) like $1
    """
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(query, what))


async def kill_whoever_waits(store: Store) -> None:
    query = """
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'
    """
    await store.execute(query)


async def test_a_change_of_the_timing_waits_for_the_slot_that_is_running(
    database_url: str, store: Store
) -> None:
    actor = await store.a_user()
    schedule = await a_schedule(store, actor)
    await be_late(store, MINUTE)
    late = await store.schedules.get(actor, schedule.id)
    async with open_store(database_url) as runner, store.database.hot() as blocker:
        running = await stopped_in_the_middle(store, actor, late, runner, blocker)
        changing = asyncio.create_task(replace(store, actor, late, name="b", every_ms=HOUR // MS))
        await eventually(lambda: waits(store, "%for no key update"))
        await blocker.execute("rollback")
        await running
        changed = await changing

    (job,) = await jobs_of(store, actor)
    after = await store.schedules.get(actor, schedule.id)
    assert after == changed
    assert (after.name, after.last_job_id) == ("b", job.id)
    assert after.next_run_at == after.timing.anchor + HOUR
    assert after.timing.anchor > job.created_at


async def replace(store: Store, actor: Actor, schedule: Schedule, **fields: Any) -> Schedule:
    body = {"job": {"type": "noop"}, **fields}
    request = msgspec.json.decode(msgspec.json.encode(body), type=ScheduleRequest)
    return await store.schedules.change(
        actor, schedule.id, lambda each, now: schedules.replace(each, request, now, CALENDAR)
    )


async def test_a_slot_that_has_its_job_gets_no_other_even_if_it_comes_again(store: Store) -> None:
    actor = await store.a_user()
    schedule = await a_schedule(store, actor)
    await be_late(store, MINUTE)
    await work_off(store)
    (job,) = await jobs_of(store, actor)
    await be_late(store, MINUTE)
    await work_off(store)
    assert [each.id for each in await jobs_of(store, actor)] == [job.id]
    after = await store.schedules.get(actor, schedule.id)
    assert (after.last_job_id, after.last_error) == (job.id, None)


async def test_a_job_that_is_not_accepted_any_more_stops_neither_its_schedule_nor_others(
    store: Store,
) -> None:
    actor = await store.a_user()
    large = {"type": "noop", "payload": {"text": "x" * 200}}
    schedule = await a_schedule(store, actor, name="large", job=large)
    unread = await a_schedule(store, actor, name="unread")
    other = await a_schedule(store, actor, name="other")
    await store.execute("update schedule set job = '{}' where id = $1", unread.id)
    await be_late(store, MINUTE)

    await work_off(store, msgspec.structs.replace(DEFAULTS, max_payload_bytes=100))

    (job,) = await jobs_of(store, actor)
    after = {each.id: await store.schedules.get(actor, each.id) for each in (schedule, unread)}
    assert after[schedule.id].last_error == "payload is 211 bytes; at most 100 are allowed"
    assert "missing required field `type`" in (after[unread.id].last_error or "")
    assert {each.last_job_id for each in after.values()} == {None}
    assert after[schedule.id].next_run_at == schedule.next_run_at
    assert (await store.schedules.get(actor, other.id)).last_job_id == job.id
    await be_late(store, MINUTE)
    await work_off(store)
    mended = await store.schedules.get(actor, schedule.id)
    assert (mended.last_error, mended.last_job_id is None) == (None, False)


async def test_a_zone_that_is_known_no_more_is_told_and_tried_again_later(store: Store) -> None:
    actor = await store.a_user()
    schedule = await a_schedule(store, actor, cron="* * * * *", missed="once")
    await store.execute("update schedule set timezone = 'Mars/Olympus'")
    await be_late(store, MINUTE)
    await work_off(store)
    after = await store.schedules.get(actor, schedule.id)
    assert after.last_error == "timezone 'Mars/Olympus' is not known here"
    assert after.next_run_at is not None
    await store.execute("update schedule set timezone = 'UTC'")
    await be_late(store, 2 * MINUTE)
    await work_off(store)
    assert (await store.schedules.get(actor, schedule.id)).last_error is None
    assert len(await jobs_of(store, actor)) == 1


async def test_a_slot_whose_key_its_owner_has_used_is_told_and_passed(store: Store) -> None:
    actor = await store.a_user()
    schedule = await a_schedule(store, actor, name="taken")
    await a_schedule(store, actor, name="free")
    await be_late(store, MINUTE)
    assert schedule.next_run_at is not None
    key = slot_key(schedule.id, schedule.next_run_at - MINUTE)
    await store.submit(actor, idempotency_key=key, queue="own")
    await work_off(store)
    after = await store.schedules.get(actor, schedule.id)
    assert (after.next_run_at, after.last_job_id) == (schedule.next_run_at, None)
    assert "idempotency key was used" in (after.last_error or "")
    assert len(await jobs_of(store, actor)) == 2


async def test_jobs_that_the_store_cannot_keep_hold_up_nobody_else(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ada, eve = await store.a_user(), await store.a_user()
    job = {"type": "poison", "payload": {"secret": "hunter2"}}
    poisoned = await a_schedule(store, ada, job=job)
    await a_schedule(store, eve)
    await store.execute("alter table job add constraint test check (type <> 'poison')")
    await be_late(store, MINUTE)
    with caplog.at_level(logging.ERROR):
        await work_off(store)

    after = await store.schedules.get(ada, poisoned.id)
    assert after.next_run_at == poisoned.next_run_at
    assert after.last_error == "the store could not keep its jobs: the operator's log tells more"
    assert len(await jobs_of(store, eve)) == 1
    (record,) = caplog.records
    assert record.__dict__["schedule_id"] == str(poisoned.id)
    assert "hunter2" not in str(record.__dict__)


async def test_what_is_on_time_runs_before_what_has_fallen_behind(store: Store) -> None:
    actor = await store.a_user()
    await a_schedule(store, actor, name="behind", every_ms=1_000, missed="all")
    await be_late(store, 3 * HOUR)
    on_time = await a_schedule(store, actor, name="on time", every_ms=1_000)
    await be_late(store, timedelta(seconds=1))
    await a_scheduler(store).run_once()
    assert (await store.schedules.get(actor, on_time.id)).last_job_id is not None
    assert await is_any_due(store)


@on_every_postgres
async def test_an_account_that_is_being_deleted_takes_its_schedules_along(store: Store) -> None:
    ada, eve = await store.a_user(), await store.a_user()
    await a_schedule(store, ada)
    await a_schedule(store, eve)
    await be_late(store, MINUTE)
    async with store.database.hot() as deleting:
        await deleting.execute("begin")
        await deleting.execute("delete from account where id = $1", ada.user_id)
        await a_scheduler(store).run_once()
        await deleting.execute("commit")
    await work_off(store)
    assert await jobs_of(store, ada) == []
    assert len(await jobs_of(store, eve)) == 1
