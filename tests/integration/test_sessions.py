"""Refresh tokens: rotated on use, forgiving for a moment, and ended by a reuse."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from tests.support.api import Api, Settings, running_api

NO_GRACE = Settings(reuse_grace=timedelta(0))


async def refresh(api: Api, token: str) -> httpx.Response:
    return await api.client().post("/v1/token/refresh", json={"refresh_token": token})


async def refreshed(api: Api, token: str) -> dict[str, Any]:
    answer = await refresh(api, token)
    assert answer.status_code == 200, answer.text
    session: dict[str, Any] = answer.json()["data"]
    return session


async def is_live(api: Api, token: str) -> bool:
    return (await refresh(api, token)).status_code == 200


async def test_a_refresh_gives_fresh_tokens_for_the_same_user(api: Api) -> None:
    user = await api.a_user()
    session = await refreshed(api, user.session["refresh_token"])
    assert session["user"] == user.session["user"]
    assert session["access_token"] != user.session["access_token"]
    assert session["refresh_token"] != user.session["refresh_token"]
    me = await api.client(session["access_token"]).get("/v1/me")
    assert me.json()["data"] == user.session["user"]


async def test_a_chain_of_refreshes_goes_on(api: Api) -> None:
    token = (await api.a_user()).session["refresh_token"]
    seen = {token}
    for _ in range(5):
        token = (await refreshed(api, token))["refresh_token"]
        seen.add(token)
    assert len(seen) == 6


async def test_a_lost_answer_is_given_again(api: Api) -> None:
    token = (await api.a_user()).session["refresh_token"]
    lost = await refreshed(api, token)
    again = await refreshed(api, token)
    assert again["refresh_token"] == lost["refresh_token"]
    assert await is_live(api, lost["refresh_token"])


async def test_two_tabs_that_refresh_at_once_get_the_same_successor(api: Api) -> None:
    token = (await api.a_user()).session["refresh_token"]
    sessions = await asyncio.gather(*(refreshed(api, token) for _ in range(10)))
    (successor,) = {session["refresh_token"] for session in sessions}
    assert await is_live(api, successor)


async def test_a_reuse_after_the_grace_ends_the_session(database_url: str) -> None:
    async with running_api(database_url, NO_GRACE) as api:
        stolen = (await api.a_user()).session["refresh_token"]
        current = (await refreshed(api, stolen))["refresh_token"]
        answer = await refresh(api, stolen)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
        assert not await is_live(api, current)


async def test_an_older_generation_is_a_reuse_even_within_the_grace(api: Api) -> None:
    oldest = (await api.a_user()).session["refresh_token"]
    older = (await refreshed(api, oldest))["refresh_token"]
    current = (await refreshed(api, older))["refresh_token"]
    assert not await is_live(api, oldest)
    assert not await is_live(api, current)


async def test_a_reuse_is_told_to_live_connections(api: Api) -> None:
    user = await api.a_user()
    oldest = user.session["refresh_token"]
    await refreshed(api, (await refreshed(api, oldest))["refresh_token"])
    await refresh(api, oldest)
    assert await ended_sessions(api, user.session["user"]["id"]) == 1


async def test_logging_out_ends_the_session_and_tells_live_connections(api: Api) -> None:
    user = await api.a_user()
    body = {"refresh_token": user.session["refresh_token"]}
    for _ in range(2):
        answer = await api.client().post("/v1/logout", json=body)
        assert (answer.status_code, answer.content) == (204, b"")
    assert not await is_live(api, user.session["refresh_token"])
    assert await ended_sessions(api, user.session["user"]["id"]) == 1


async def test_an_older_token_logs_the_session_out_too(api: Api) -> None:
    token = (await api.a_user()).session["refresh_token"]
    current = (await refreshed(api, token))["refresh_token"]
    await api.client().post("/v1/logout", json={"refresh_token": token})
    assert not await is_live(api, current)


async def test_logging_out_leaves_other_sessions_of_the_user_alone(api: Api) -> None:
    user = await api.a_user()
    login = {"email": user.email, "password": "correct horse"}
    other = (await api.client().post("/v1/login", json=login)).json()["data"]["refresh_token"]
    await api.client().post("/v1/logout", json={"refresh_token": user.session["refresh_token"]})
    assert await is_live(api, other)


async def test_a_session_expires(database_url: str) -> None:
    async with running_api(database_url, Settings(refresh_ttl=timedelta(0))) as api:
        token = (await api.a_user()).session["refresh_token"]
        assert not await is_live(api, token)


async def test_what_is_no_refresh_token_is_refused(api: Api) -> None:
    user = await api.a_user()
    for token in ("", "wlr_", "nonsense", user.session["access_token"]):
        for path in ("/v1/token/refresh", "/v1/logout"):
            answer = await api.client().post(path, json={"refresh_token": token})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")


async def test_the_database_holds_no_token(api: Api) -> None:
    user = await api.a_user()
    async with api.store.database.hot() as connection:
        rows = await connection.fetch("select session::text as text from session")
        rows += await connection.fetch("select account::text as text from account")
    kept = "\n".join(row["text"] for row in rows)
    secret = user.session["refresh_token"]
    assert secret not in kept
    assert secret[-20:] not in kept
    assert "correct horse" not in kept


async def ended_sessions(api: Api, user_id: str) -> int:
    """How often live connections are told that a session of this user has ended."""
    query = """
        select count(*)
        from (select user_id, kind from outbox union all select user_id, kind from feed) told
        where user_id = $1::text::uuid
          and kind = 'ended'
    """
    async with api.store.database.hot() as connection:
        return int(await connection.fetchval(query, user_id))
