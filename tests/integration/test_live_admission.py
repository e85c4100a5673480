"""Who may open a WebSocket, and until when it stays open."""

from __future__ import annotations

import json
import logging
import time
from typing import Any
from uuid import UUID

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from internal.adapters.postgres.sessions import PostgresSessions
from tests.support.api import SECRET, Api, Settings, SignedUp, running_api
from tests.support.conditions import eventually
from tests.support.sockets import READY, a_ticket, socket, watching

UNAUTHENTICATED = 4401


async def test_an_access_token_in_the_header_opens_it(api: Api) -> None:
    user = await api.a_user()
    async with socket(api, user.session["access_token"]) as live:
        assert await live.next() == READY


async def test_a_ticket_as_the_first_message_opens_it_once(api: Api) -> None:
    ticket = await a_ticket(await api.a_user())
    async with socket(api) as first, socket(api) as second:
        await first.says(ticket)
        assert await first.next() == READY
        await second.says(ticket)
        assert await second.close_code() == UNAUTHENTICATED


async def test_a_ticket_that_is_too_old_opens_nothing(api: Api) -> None:
    user = await api.a_user()
    ticket = await a_ticket(user)
    ends_now = "update ticket set expires_at = now() where user_id = $1"
    await api.store.execute(ends_now, UUID(user.session["user"]["id"]))
    async with socket(api) as live:
        await live.says(ticket)
        assert await live.close_code() == UNAUTHENTICATED


async def test_a_ticket_of_a_session_that_has_ended_opens_nothing(api: Api) -> None:
    user = await api.a_user()
    ticket = await a_ticket(user)
    await log_out(user)
    async with socket(api) as live:
        await live.says(ticket)
        assert await live.close_code() == UNAUTHENTICATED


@pytest.mark.parametrize(
    "first",
    [
        '{"ticket": "not one of ours"}',
        '{"ticket": 7}',
        '{"ticket": null}',
        "{}",
        "",
        "nonsense",
        '{"token": "x"}',
        "[" * 10_000,
        b"\x00\xff",
    ],
    ids=lambda first: repr(first)[:20],
)
async def test_any_other_first_message_closes_it(api: Api, first: str | bytes) -> None:
    async with socket(api) as live:
        await live.connection.send(first)
        assert await live.close_code() == UNAUTHENTICATED


async def test_silence_closes_it_and_a_ping_keeps_it_open(database_url: str) -> None:
    settings = Settings(first_message_s=0.05, ping_s=0.01)
    async with running_api(database_url, settings) as api:
        async with socket(api) as live:
            assert await live.close_code() == UNAUTHENTICATED
        user = await api.a_user()
        async with watching(api, user) as live:
            job = (await user.client.post("/v1/jobs", json={"type": "x"})).json()["data"]
            assert (await live.next())["job"]["id"] == job["id"]
            first_ping = await live.connection.recv()
            assert json.loads(first_ping) == {"event": "ping"}


async def test_a_bad_token_is_refused_in_the_handshake(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    session = (await api.a_user()).session
    for token in ("", "nonsense", session["refresh_token"], again(session, exp=1_700_000_000)):
        status, error = await refusal(api, token)
        assert (status, error["code"]) == (401, "UNAUTHENTICATED"), token
    basic = {"Authorization": f"Basic {session['access_token']}"}
    assert (await refusal(api, None, additional_headers=basic))[0] == 401
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_handshake_with_too_large_headers_is_refused_too(api: Api) -> None:
    """Such as one with many cookies of other servers on the same host."""
    large = {"Cookie": "x" * 20_000}
    many = {f"X-{number}": "x" for number in range(300)}
    for headers in (large, many):
        with pytest.raises(InvalidStatus) as refused:
            async with socket(api, additional_headers=headers):
                pass
        assert refused.value.response.status_code == 431


async def test_only_our_own_pages_may_connect(api: Api) -> None:
    token = (await api.a_user()).session["access_token"]
    for origin in ("https://elsewhere.example", "null", "http://[", "http://127.0.0.1:1"):
        status, error = await refusal(api, token, origin=origin)
        assert (status, error["code"]) == (401, "UNAUTHENTICATED"), origin
        status, _ = await refusal(api, None, origin=origin)
        assert status == 401, origin
    async with socket(api, token, origin=api.url) as live:
        assert await live.next() == READY


async def test_it_closes_when_the_token_ends(api: Api) -> None:
    user = await api.a_user()
    ending = again(user.session, exp=int(time.time()) + 2)
    async with socket(api, ending) as live:
        assert await live.next() == READY
        assert await live.close_code() == UNAUTHENTICATED


async def test_it_closes_when_the_session_is_logged_out(api: Api) -> None:
    user = await api.a_user()
    other = (await api.client().post("/v1/login", json=credentials(user))).json()["data"]
    async with watching(api, user) as by_token, socket(api) as by_ticket:
        await by_ticket.says(await a_ticket(user))
        assert await by_ticket.next() == READY
        async with socket(api, other["access_token"]) as of_another_session:
            assert await of_another_session.next() == READY
            await log_out(user)

            assert await by_token.close_code() == UNAUTHENTICATED
            assert await by_ticket.close_code() == UNAUTHENTICATED
            await user_submits(api, other)
            assert (await of_another_session.next())["event"] == "job.queued"


async def test_a_session_that_ends_during_the_admission_is_not_admitted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_open = PostgresSessions.is_open

    async def is_open(sessions: PostgresSessions, session_id: UUID) -> bool:
        answer = await looks_open(sessions, session_id)
        before = await api.store.feed.newest()
        await sessions.end(session_id)
        await eventually(lambda: told_since(before))
        return answer

    async def told_since(position: int) -> bool:
        return await api.store.feed.newest() > position

    monkeypatch.setattr(PostgresSessions, "is_open", is_open)
    user = await api.a_user()
    async with socket(api, user.session["access_token"]) as live:
        assert await live.close_code() == UNAUTHENTICATED


async def refusal(api: Api, token: str | None, **options: Any) -> tuple[int, dict[str, Any]]:
    """The status and the error that a handshake is refused with."""
    with pytest.raises(InvalidStatus) as refused:
        async with socket(api, token, **options):
            pass
    response = refused.value.response
    assert response.body is not None
    return response.status_code, json.loads(response.body)["error"]


def again(session: dict[str, Any], **changes: Any) -> str:
    """The access token of a session with other claims, signed as ours are."""
    token = session["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {"kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode({**claims, **changes}, SECRET, "HS256", headers)


def credentials(user: SignedUp) -> dict[str, str]:
    return {"email": user.email, "password": "correct horse"}


async def log_out(user: SignedUp) -> None:
    body = {"refresh_token": user.session["refresh_token"]}
    assert (await user.client.post("/v1/logout", json=body)).status_code == 204


async def user_submits(api: Api, session: dict[str, Any]) -> None:
    client = api.client(session["access_token"])
    assert (await client.post("/v1/jobs", json={"type": "x"})).status_code == 201
