"""Lists of jobs: pages and filters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from internal.adapters.http.cursors import write_cursor
from internal.domain.ids import new_id
from internal.domain.jobs import Outcome, Status
from tests.support.api import Api
from tests.support.routes import (
    JOB_FIELDS,
    LEFT_OUT,
    PREVIEWS,
    error_of,
    finish,
    submit,
)


async def test_a_list_shows_summaries_the_newest_first(api: Api) -> None:
    user = await api.a_user()
    ids = [(await submit(user, payload={"sleep_ms": 7}))["id"] for _ in range(3)]
    answer = (await user.client.get("/v1/jobs")).json()
    assert [job["id"] for job in answer["data"]] == ids[::-1]
    assert answer["next_cursor"] is None
    summary = answer["data"][0]
    assert set(summary) == (set(JOB_FIELDS) - LEFT_OUT) | PREVIEWS
    assert (summary["payload_preview"], summary["error_preview"]) == ('{"sleep_ms":7}', None)


async def test_pages_follow_each_other_without_gap_or_repeat(api: Api) -> None:
    user = await api.a_user()
    await user.client.post("/v1/jobs/batch", json={"jobs": [{"type": "mock"}] * 25})
    queries: list[dict[str, str]] = [{}, {"status": "queued,running"}]
    for query in queries:
        seen: list[str] = []
        cursor = None
        while True:
            page = {"limit": "10", **query, **({"cursor": cursor} if cursor else {})}
            answer = (await user.client.get("/v1/jobs", params=page)).json()
            seen += [job["id"] for job in answer["data"]]
            # What comes meanwhile is newer than the page, and does not shift the next one.
            await submit(user)
            if (cursor := answer["next_cursor"]) is None:
                break
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen, reverse=True)
        assert len(seen) >= 25


async def test_a_page_has_20_jobs_and_at_most_200(api: Api) -> None:
    user = await api.a_user()
    await user.client.post("/v1/jobs/batch", json={"jobs": [{"type": "mock"}] * 30})
    assert len((await user.client.get("/v1/jobs")).json()["data"]) == 20
    assert len((await user.client.get("/v1/jobs?limit=200")).json()["data"]) == 30
    for limit in ("0", "201", "-1", "ten", "1.5", "", "1e1", "\u0661", "9" * 5000):
        answer = await user.client.get("/v1/jobs", params={"limit": limit})
        assert error_of(answer)[2][0]["field"] == "limit", limit


@pytest.mark.parametrize(
    "cursor",
    ["", "nonsense", "x" * 22 + "!", "AAAAAAAAAAAAAAAAAAAAAB", "\u00e9" * 22, "0" * 500],
)
async def test_a_bad_cursor_is_refused(api: Api, cursor: str) -> None:
    user = await api.a_user()
    status, code, details = error_of(await user.client.get("/v1/jobs", params={"cursor": cursor}))
    assert (status, code, details[0]["field"]) == (400, "VALIDATION_ERROR", "cursor")


async def test_filters_narrow_a_list_each_in_its_way(api: Api) -> None:
    user = await api.a_user()
    failed = await finish(api, user, Outcome.FAILED)
    plain = (await submit(user))["id"]
    mail = (await submit(user, type="mail.send", queue="mail", priority="high", tags=["eu"]))["id"]
    later = (await submit(user, run_at="2199-01-01T00:00:00Z", tags=["eu", "vip"]))["id"]
    worker = (await user.client.get(f"/v1/jobs/{failed}/attempts")).json()["data"][0]["worker"]
    hour = timedelta(hours=1)
    ago, ahead = datetime.now(UTC) - hour, datetime.now(UTC) + hour
    expected: dict[str, set[str]] = {
        "status=scheduled": {later},
        "status=scheduled,failed": {later, failed},
        "status=failed,failed,scheduled&limit=2": {later, failed},
        "queue=mail": {mail},
        "queue=mail,default": {plain, mail, later, failed},
        "type=mail.send": {mail},
        "priority=high,low": {mail},
        "tag=eu": {mail, later},
        "tag=vip": {later},
        "tag=eu&status=queued": {mail},
        f"worker={worker}": {failed},
        f"created_after={ahead:%Y-%m-%dT%H:%M:%SZ}": set(),
        f"created_after={ago:%Y-%m-%dT%H:%M:%SZ}&type=mail.send": {mail},
        f"created_before={ago:%Y-%m-%dT%H:%M:%SZ}": set(),
        f"finished_after={ago:%Y-%m-%dT%H:%M:%SZ}": {failed},
        f"finished_before={ahead:%Y-%m-%dT%H:%M:%SZ}": {failed},
        f"finished_before={ago:%Y-%m-%dT%H:%M:%SZ}": set(),
        f"finished_after={ago:%Y-%m-%dT%H:%M:%SZ}&status=queued": set(),
        "queue=nope": set(),
    }
    for query, ids in expected.items():
        answer = await user.client.get(f"/v1/jobs?{query}")
        assert {job["id"] for job in answer.json()["data"]} == ids, query


async def test_every_filter_goes_with_every_status(api: Api) -> None:
    user = await api.a_user()
    day = "2026-01-31T12:00:00Z"
    filters = {
        "queue": "a,b", "type": "a,b", "priority": "high,low", "tag": "a,b", "worker": "a,b",
        "created_after": day, "created_before": day, "finished_after": day, "finished_before": day,
        "fingerprint": "0" * 16, "cursor": write_cursor(new_id()), "limit": "1",
    }  # fmt: skip
    for status in Status:
        for name, value in filters.items():
            answer = await user.client.get(f"/v1/jobs?status={status}&{name}={value}")
            assert (answer.status_code, answer.json()["data"]) == (200, []), (status, name)
        answer = await user.client.get("/v1/jobs", params={"status": status, **filters})
        assert (answer.status_code, answer.json()["data"]) == (200, []), status


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=nope", "status"),
        ("status=queued,nope", "status"),
        ("status=", "status"),
        ("priority=normal", "priority"),
        ("queue=%00", "queue"),
        ("tag=" + "x" * 51, "tag"),
        ("status=" + ",".join(["queued"] * 101), "status"),
        ("worker=" + ",".join(["x"] * 101), "worker"),
        ("created_after=yesterday", "created_after"),
        ("created_after=1700000000", "created_after"),
        ("finished_before=2026-01-01T00:00:00", "finished_before"),
        ("created_after=0001-01-01T00:00:00%2B23:59", "created_after"),
        ("finished_before=9999-12-31T23:59:59-23:59", "finished_before"),
        ("payload=x", "payload"),
        ("fingerprint=7", "fingerprint"),
    ],
)
async def test_a_bad_filter_is_named(api: Api, query: str, field: str) -> None:
    user = await api.a_user()
    status, code, details = error_of(await user.client.get(f"/v1/jobs?{query}"))
    assert (status, code, details[0]["field"]) == (400, "VALIDATION_ERROR", field)
