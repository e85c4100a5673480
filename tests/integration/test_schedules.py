"""Making, changing and looking at schedules."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from internal.domain.schedules import MAX_SCHEDULES
from tests.support.api import Api, SignedUp
from tests.support.routes import JSON, error_of

FIELDS = [
    "id", "name", "cron", "every_ms", "timezone", "missed", "overlap", "paused", "job",
    "next_run_at", "last_run_at", "last_job_id", "last_error", "created_at", "updated_at",
]  # fmt: skip
NIGHTLY = {"name": "nightly", "cron": "30 2 * * *", "job": {"type": "mock"}}


async def make(user: SignedUp, **fields: Any) -> dict[str, Any]:
    answer = await user.client.post("/v1/schedules", json=NIGHTLY | fields)
    assert answer.status_code == 201, answer.text
    schedule: dict[str, Any] = answer.json()["data"]
    return schedule


async def look(user: SignedUp, schedule: dict[str, Any]) -> dict[str, Any]:
    answer = await user.client.get(f"/v1/schedules/{schedule['id']}")
    assert answer.status_code == 200, answer.text
    seen: dict[str, Any] = answer.json()["data"]
    return seen


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_schedule_is_answered_with_every_field_and_its_default(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user)
    assert list(schedule) == FIELDS
    assert UUID(schedule["id"]).version == 7
    assert (schedule["cron"], schedule["every_ms"]) == ("30 2 * * *", None)
    assert (schedule["timezone"], schedule["missed"]) == ("UTC", "skip")
    assert (schedule["paused"], schedule["last_run_at"], schedule["last_job_id"]) == (
        False, None, None,
    )  # fmt: skip
    following = moment(schedule["next_run_at"])
    assert (following.hour, following.minute) == (2, 30)
    assert timedelta(0) < following - moment(schedule["created_at"]) <= timedelta(days=1)
    assert await look(user, schedule) == schedule


async def test_every_ms_begins_so_much_after_the_schedule_is_made(api: Api) -> None:
    schedule = await make(await api.a_user(), cron=None, every_ms=90_000)
    after = moment(schedule["next_run_at"]) - moment(schedule["created_at"])
    assert timedelta(seconds=89.99) < after <= timedelta(seconds=90)


async def test_the_job_is_kept_with_the_bytes_of_its_payload(api: Api) -> None:
    user = await api.a_user()
    payload = (
        b'{"n": 12345678901234567890123, "x":1.10,  "t":"\\u00e9\xc3\xa9", "a": {"a":1,"a":2}}'
    )
    job = b'{"type":"x.y","payload":%s,"priority":"high","tags":["a"],"delay_ms":5}' % payload
    body = b'{"name": "a", "cron": "0 0 * * *", "job": %s}' % job
    made = await user.client.post("/v1/schedules", content=body, headers=JSON)
    assert b'"job":' + job + b"," in made.content
    path = f"/v1/schedules/{made.json()['data']['id']}"
    assert b'"job":' + job + b"," in (await user.client.get(path)).content
    ran = await user.client.post(path + "/run")
    assert b'"payload":' + payload + b"," in ran.content


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": None}, "name"),
        ({"cron": None}, "cron"),
        ({"cron": ""}, "cron"),
        ({"cron": "* * * *"}, "cron"),
        ({"cron": "0 * * * * *"}, "cron"),
        ({"cron": "@daily"}, "cron"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 0 31 2 *"}, "cron"),
        ({"cron": "* * */20 * 1L"}, "cron"),
        ({"cron": "0," * 100 + "0 * * * *"}, "cron"),
        ({"every_ms": 1_000}, "every_ms"),
        ({"cron": None, "every_ms": 999}, "every_ms"),
        ({"cron": None, "every_ms": 365 * 86_400_000 + 1}, "every_ms"),
        ({"cron": None, "every_ms": 1000.5}, "every_ms"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "europe/berlin"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "Europe/Berlin\0"}, "timezone"),
        ({"missed": "never"}, "missed"),
        ({"paused": 1}, "paused"),
        ({"nope": 1}, "nope"),
        ({"job": None}, "job"),
        ({"job": {}}, "job.type"),
        ({"job": {"type": ""}}, "job.type"),
        ({"job": {"type": "mock", "nope": 1}}, "job.nope"),
        ({"job": {"type": "mock", "payload": []}}, "job.payload"),
        ({"job": {"type": "mock", "payload": {"sleep_ms": "long"}}}, "job.payload"),
        ({"job": {"type": "mock", "idempotency_key": "k"}}, "job.idempotency_key"),
        ({"job": {"type": "mock", "name": "n"}}, "job.name"),
        (
            {"job": {"type": "mock", "depends_on": ["01900000-0000-7000-8000-000000000000"]}},
            "job.depends_on",
        ),
        ({"job": {"type": "mock", "run_at": "2199-01-01T00:00:00Z"}}, "job.run_at"),
        ({"job": {"type": "mock", "expires_at": "2199-01-01T00:00:00Z"}}, "job.expires_at"),
        ({"job": {"type": "mock", "backoff": {"base_ms": 0}}}, "job.backoff.base_ms"),
    ],
    ids=str,
)
async def test_a_bad_field_is_named_when_made_and_when_replaced(
    api: Api, fields: dict[str, Any], field: str
) -> None:
    user = await api.a_user()
    schedule = await make(user)
    for method, path in (("POST", ""), ("PUT", f"/{schedule['id']}")):
        body = NIGHTLY | {"name": "other"} | fields
        answer = await user.client.request(method, f"/v1/schedules{path}", json=body)
        status, code, details = error_of(answer)
        assert (status, code) == (400, "VALIDATION_ERROR")
        assert [each["field"] for each in details] == [field]
    assert (await user.client.get("/v1/schedules")).json()["data"] == [schedule]


async def test_a_payload_that_no_job_may_have_is_refused(api: Api) -> None:
    user = await api.a_user()
    body = NIGHTLY | {"job": {"type": "x", "payload": {"text": "x" * 300_000}}}
    status, code, details = error_of(await user.client.post("/v1/schedules", json=body))
    assert (status, code, details[0]["field"]) == (413, "PAYLOAD_TOO_LARGE", "job.payload")


async def test_a_name_is_taken_once_by_each_user(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    await make(ada)
    other = await make(ada, name="other")
    await make(eve)
    for method, path in (("POST", ""), ("PUT", f"/{other['id']}")):
        answer = await ada.client.request(method, f"/v1/schedules{path}", json=NIGHTLY)
        status, code, details = error_of(answer)
        assert (status, code, details[0]["field"]) == (409, "NAME_TAKEN", "name")
    assert await look(ada, other) == other


async def test_of_many_of_one_name_at_once_one_is_made(api: Api) -> None:
    user = await api.a_user()
    making = (user.client.post("/v1/schedules", json=NIGHTLY) for _ in range(10))
    answers = await asyncio.gather(*making)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


async def test_a_user_has_a_thousand_schedules_at_most(api: Api) -> None:
    user = await api.a_user()
    await make(user)
    await api.store.execute(
        """
        insert into schedule
        select (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'name', n))).*
        from schedule s, generate_series(2, $1) n
        where user_id = $2
        """,
        MAX_SCHEDULES - 1,
        UUID(user.session["user"]["id"]),
    )
    making = (
        user.client.post("/v1/schedules", json=NIGHTLY | {"name": name}) for name in ("b", "c", "d")
    )
    answers = await asyncio.gather(*making)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert error_of(refused)[1] == "LIMIT_REACHED"


async def test_a_list_shows_the_newest_first_a_page_at_a_time(api: Api) -> None:
    user = await api.a_user()
    made = [await make(user, name=f"{number}") for number in range(5)]
    first = (await user.client.get("/v1/schedules?limit=3")).json()
    assert first["data"] == made[:1:-1]
    rest = {"limit": "3", "cursor": first["next_cursor"]}
    second = (await user.client.get("/v1/schedules", params=rest)).json()
    assert (second["data"], second["next_cursor"]) == (made[1::-1], None)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=x", "nope=1", "limit=1&limit=2"])
async def test_a_list_refuses_what_it_does_not_know(api: Api, query: str) -> None:
    answer = await (await api.a_user()).client.get(f"/v1/schedules?{query}")
    assert error_of(answer)[:2] == (400, "VALIDATION_ERROR")


async def test_replacing_replaces_the_whole(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user, missed="all", timezone="Asia/Tokyo", paused=True)
    body = {"name": "hourly", "every_ms": 3_600_000, "job": {"type": "other"}}
    path = f"/v1/schedules/{schedule['id']}"
    changed = (await user.client.put(path, json=body)).json()["data"]
    assert changed == await look(user, schedule)
    defaults = {
        "cron": None,
        "timezone": "UTC",
        "missed": "skip",
        "overlap": "queue",
        "paused": False,
    }
    assert {name: changed[name] for name in (*defaults, "job")} == defaults | {"job": body["job"]}
    assert changed["created_at"] == schedule["created_at"] < changed["updated_at"]
    assert changed["next_run_at"] > changed["updated_at"]


async def test_what_a_look_shows_can_be_sent_back(api: Api) -> None:
    user = await api.a_user()
    timings: list[dict[str, Any]] = [{"cron": "0 0 * * *"}, {"cron": None, "every_ms": 5_000}]
    for number, timing in enumerate(timings):
        schedule = await make(user, name=f"{number}", **timing)
        kept = ("name", "cron", "every_ms", "timezone", "missed", "paused", "job")
        body = {name: schedule[name] for name in kept}
        answer = await user.client.put(f"/v1/schedules/{schedule['id']}", json=body)
        same = answer.json()["data"]
        assert same == schedule | {"updated_at": same["updated_at"]}


async def test_a_schedule_is_paused_and_resumed(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user)
    path = f"/v1/schedules/{schedule['id']}"
    for body in (NIGHTLY | {"paused": True}, NIGHTLY):
        put = (await user.client.put(path, json=body)).json()["data"]
        assert put["paused"] is body.get("paused", False)
        assert put["next_run_at"] == (None if put["paused"] else schedule["next_run_at"])
    for _ in range(2):
        paused = await user.client.post(path + "/pause")
        assert paused.status_code == 200
        assert (paused.json()["data"]["paused"], paused.json()["data"]["next_run_at"]) == (
            True, None,
        )  # fmt: skip
    for _ in range(2):
        resumed = (await user.client.post(path + "/resume")).json()["data"]
        assert (resumed["paused"], resumed["next_run_at"]) == (False, schedule["next_run_at"])


async def test_a_schedule_that_waits_for_room_can_be_paused(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user, missed="all")
    held = "update schedule set next_run_at = now(), held_until = now() where id = $1"
    await api.store.execute(held, UUID(schedule["id"]))
    path = f"/v1/schedules/{schedule['id']}"
    paused = await user.client.post(path + "/pause")
    assert (paused.status_code, paused.json()["data"]["next_run_at"]) == (200, None)
    resumed = (await user.client.post(path + "/resume")).json()["data"]
    assert resumed["next_run_at"] == schedule["next_run_at"]


async def test_a_run_now_is_a_job_and_moves_no_slot(api: Api) -> None:
    user = await api.a_user()
    job = {"type": "mock", "payload": {"sleep_ms": 7}, "queue": "reports", "priority": "high"}
    for paused in (False, True):
        schedule = await make(user, name=f"{paused}", job=job, paused=paused)
        answer = await user.client.post(f"/v1/schedules/{schedule['id']}/run")
        ran = answer.json()["data"]
        assert answer.status_code == 201
        assert {name: ran[name] for name in job} == job
        assert ran == (await user.client.get(f"/v1/jobs/{ran['id']}")).json()["data"]
        seen = await look(user, schedule)
        assert seen["last_job_id"] == ran["id"]
        assert moment(seen["last_run_at"]) >= moment(ran["created_at"])
        noted = {"last_job_id": ran["id"], "last_run_at": seen["last_run_at"]}
        assert seen == schedule | noted


async def test_each_run_now_is_another_job(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user)
    runs = [await user.client.post(f"/v1/schedules/{schedule['id']}/run") for _ in range(2)]
    assert len({answer.json()["data"]["id"] for answer in runs}) == 2


async def test_a_run_now_of_what_is_not_accepted_any_more_says_why(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user)
    job = '{"type":"mock","payload":{"sleep_ms":"long"}}'
    for text, field in ((job, "job.payload"), ('{"type":""}', "job")):
        query = "update schedule set job = $1 where id = $2"
        await api.store.execute(query, text, UUID(schedule["id"]))
        answer = await user.client.post(f"/v1/schedules/{schedule['id']}/run")
        status, code, details = error_of(answer)
        assert (status, code) == (400, "VALIDATION_ERROR")
        assert [each["field"] for each in details] == [field]
    assert (await look(user, schedule))["job"] == {"type": ""}


async def test_a_preview_tells_the_next_slots(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user, timezone="Europe/Berlin", paused=True)
    path = f"/v1/schedules/{schedule['id']}/preview"
    shown = (await user.client.get(path)).json()
    assert list(shown) == ["data"]
    assert len(shown["data"]) == 10
    assert all(each.endswith(":30:00Z") for each in shown["data"])
    assert shown["data"] == sorted(shown["data"])
    assert moment(shown["data"][0]) > datetime.now(UTC) - timedelta(minutes=1)
    year = [await user.client.get(path, params={"n": n}) for n in (1, 100)]
    assert [each.json()["data"][0] for each in year] == [shown["data"][0]] * 2
    assert len(year[1].json()["data"]) == 100
    for wrong in ("0", "101", "x", "1.5"):
        answer = await user.client.get(path, params={"n": wrong})
        assert [each["field"] for each in error_of(answer)[2]] == ["n"]


async def test_a_preview_begins_with_the_next_run(api: Api) -> None:
    user = await api.a_user()
    timings: list[dict[str, Any]] = [{"cron": "* * * * *"}, {"cron": None, "every_ms": 7_200_000}]
    for number, timing in enumerate(timings):
        schedule = await make(user, name=f"{number}", **timing)
        answer = await user.client.get(f"/v1/schedules/{schedule['id']}/preview")
        assert answer.json()["data"][0] >= schedule["next_run_at"]


@pytest.mark.parametrize(
    ("cron", "timezone", "expected"),
    [
        ("30 2 * 3 0L", "Europe/Berlin", {"01:00:00Z"}),
        ("*/30 2 * 3 0L", "Europe/Berlin", {"01:00:00Z"}),
        ("30 2 * 10 0L", "Europe/Berlin", {"00:30:00Z"}),
        ("*/30 2 * 10 0L", "Europe/Berlin", {"00:00:00Z", "00:30:00Z"}),
        ("30 * * 10 0L", "Europe/Berlin", {f"{hour:02}:30:00Z" for hour in range(24)}),
        ("30 2 * 3 0#2", "America/New_York", {"07:00:00Z"}),
        ("30 1 * 11 0#1", "America/New_York", {"05:30:00Z"}),
        ("15 2 * 10 0#1", "Australia/Lord_Howe", {"15:30:00Z"}),
        ("45 1 * 4 0#1", "Australia/Lord_Howe", {"14:45:00Z"}),
    ],
)
async def test_a_preview_goes_over_the_changes_of_the_clocks_of_coming_years(
    api: Api, cron: str, timezone: str, expected: set[str]
) -> None:
    """These are the days: a skipped time comes just after, a repeated one once."""
    user = await api.a_user()
    schedule = await make(user, cron=cron, timezone=timezone)
    answer = await user.client.get(f"/v1/schedules/{schedule['id']}/preview?n=50")
    slots = answer.json()["data"]
    assert {each.partition("T")[2] for each in slots} == expected
    assert len(set(slots)) == 50


async def test_a_deleted_schedule_is_gone_and_its_jobs_are_not(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user)
    path = f"/v1/schedules/{schedule['id']}"
    job = (await user.client.post(path + "/run")).json()["data"]
    assert (await user.client.delete(path)).status_code == 204
    assert error_of(await user.client.get(path))[:2] == (404, "NOT_FOUND")
    assert error_of(await user.client.delete(path))[:2] == (404, "NOT_FOUND")
    assert (await user.client.get(f"/v1/jobs/{job['id']}")).status_code == 200
    await make(user)


async def test_with_an_account_its_schedules_go(api: Api) -> None:
    user = await api.a_user()
    schedule = await make(user)
    user_id = UUID(user.session["user"]["id"])
    await api.store.execute("delete from account where id = $1", user_id)
    answer = await user.client.get(f"/v1/schedules/{schedule['id']}")
    assert error_of(answer)[:2] == (404, "NOT_FOUND")
    answer = await user.client.post("/v1/schedules", json=NIGHTLY)
    assert error_of(answer)[:2] == (401, "UNAUTHENTICATED")


OF_ONE: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("GET", "/preview", None),
    ("PUT", "", NIGHTLY | {"name": "other"}),
    ("POST", "/run", None),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
    ("DELETE", "", None),
]


async def test_another_users_schedule_is_not_found_and_stays_as_it_was(api: Api) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    schedule = await make(ada)
    nowhere = "01900000-0000-7000-8000-000000000000"
    for method, more, body in OF_ONE:
        answers = [
            await eve.client.request(method, f"/v1/schedules/{each}{more}", json=body)
            for each in (schedule["id"], nowhere)
        ]
        errors = [error_of(answer) for answer in answers]
        assert errors[0] == errors[1]
        assert errors[0][:2] == (404, "NOT_FOUND"), f"{method} {more} finds it"
        assert await look(ada, schedule) == schedule, f"{method} {more} changed it"
    for path in ("/v1/schedules", "/v1/jobs"):
        assert (await eve.client.get(path)).json()["data"] == []


async def test_the_owner_may_do_all_of_that(api: Api) -> None:
    ada = await api.a_user()
    path = f"/v1/schedules/{(await make(ada))['id']}"
    for method, more, body in OF_ONE:
        answer = await ada.client.request(method, path + more, json=body)
        assert answer.is_success, f"{method} {more}: {answer.text}"


async def test_an_id_that_is_none_is_refused(api: Api) -> None:
    user = await api.a_user()
    for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/run"), ("GET", "/preview")):
        answer = await user.client.request(method, f"/v1/schedules/seven{more}")
        assert error_of(answer)[:2] == (400, "VALIDATION_ERROR")
