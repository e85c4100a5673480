"""Browsers: the refresh token lives in a cookie that neither scripts nor other sites can use."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import Any

import httpx
import pytest

from tests.support.api import PASSWORD, Api

COOKIE = "windlass_refresh"
OURS = {"X-Windlass-Client": "dashboard"}


def cookie_in(answer: httpx.Response) -> Morsel[str]:
    (header,) = answer.headers.get_list("set-cookie")
    return SimpleCookie(header)[COOKIE]


async def a_browser(api: Api, **headers: str) -> tuple[httpx.AsyncClient, httpx.Response]:
    """A client that has signed up in cookie mode."""
    email = (await api.a_user()).email
    client = api.client(**headers)
    body = {"email": email, "password": PASSWORD, "cookie": True}
    return client, await client.post("/v1/login", json=body)


async def test_in_cookie_mode_no_body_holds_the_refresh_token(api: Api) -> None:
    client, answer = await a_browser(api)
    for each in (answer, await client.post("/v1/token/refresh", headers=OURS)):
        assert each.json()["data"]["refresh_token"] is None
        assert cookie_in(each).value.startswith("wlr_")
        assert cookie_in(each).value not in each.text


async def test_signing_up_in_cookie_mode_signs_in(api: Api) -> None:
    client = api.client()
    body = {"email": "browser@example.com", "password": PASSWORD, "cookie": True}
    answer = await client.post("/v1/signup", json=body)
    assert (answer.status_code, answer.json()["data"]["refresh_token"]) == (201, None)
    assert (await client.post("/v1/token/refresh", headers=OURS)).status_code == 200


async def test_the_cookie_is_for_our_api_only_and_for_no_script(api: Api) -> None:
    _, answer = await a_browser(api)
    cookie = cookie_in(answer)
    assert cookie["httponly"] is True
    assert cookie["samesite"].lower() == "strict"
    assert (cookie["path"], cookie["domain"]) == ("/v1", "")
    assert int(cookie["max-age"]) == 30 * 24 * 3600


@pytest.mark.parametrize(
    ("host", "secure"),
    [
        ("127.0.0.1:8080", ""),
        ("localhost:8080", ""),
        ("[::1]:8080", ""),
        ("windlass.example.com", True),
        ("192.168.1.4:8080", True),
        ("localhost.example.com", True),
        ("[", True),
    ],
)
async def test_the_cookie_is_secure_but_on_plain_http_loopback(
    api: Api, host: str, secure: Any
) -> None:
    _, answer = await a_browser(api, Host=host)
    assert cookie_in(answer)["secure"] == secure


async def test_the_cookie_rotates_like_any_refresh_token(api: Api) -> None:
    client, answer = await a_browser(api)
    refreshed = await client.post("/v1/token/refresh", headers=OURS)
    assert cookie_in(refreshed).value != cookie_in(answer).value
    assert (await client.post("/v1/token/refresh", headers=OURS)).status_code == 200


async def test_logging_out_forgets_the_cookie_and_ends_the_session(api: Api) -> None:
    client, answer = await a_browser(api)
    out = await client.post("/v1/logout", headers=OURS)
    assert (out.status_code, cookie_in(out)["max-age"], cookie_in(out).value) == (204, "0", "")
    body = {"refresh_token": cookie_in(answer).value}
    assert (await api.client().post("/v1/token/refresh", json=body)).status_code == 401


@pytest.mark.parametrize("path", ["/v1/token/refresh", "/v1/logout"])
async def test_the_cookie_alone_is_not_enough(api: Api, path: str) -> None:
    """Another site can make a browser send it, but not with a header of its own."""
    client, _ = await a_browser(api)
    answer = await client.post(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("path", ["/v1/token/refresh", "/v1/logout"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "http://127.0.0.1:1", "null", "http://["]
)
async def test_the_cookie_is_refused_from_another_origin(api: Api, path: str, origin: str) -> None:
    client, _ = await a_browser(api)
    answer = await client.post(path, headers=OURS | {"Origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


async def test_the_cookie_works_from_our_own_origin(api: Api) -> None:
    client, _ = await a_browser(api)
    answer = await client.post("/v1/token/refresh", headers=OURS | {"Origin": api.url})
    assert answer.status_code == 200


async def test_a_token_in_the_body_needs_neither_header_nor_origin(api: Api) -> None:
    token = (await api.a_user()).session["refresh_token"]
    client = api.client(Origin="https://anywhere.example.com")
    answer = await client.post("/v1/token/refresh", json={"refresh_token": token})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


async def test_without_cookie_and_body_there_is_nothing_to_refresh(api: Api) -> None:
    for body in (b"", b"{}", b"null", b'{"refresh_token": null}'):
        for path in ("/v1/token/refresh", "/v1/logout"):
            headers = OURS | {"Content-Type": "application/json"}
            answer = await api.client().post(path, content=body, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")


async def test_the_cookie_opens_no_other_route(api: Api) -> None:
    client, _ = await a_browser(api)
    assert (await client.get("/v1/me", headers=OURS)).status_code == 401
