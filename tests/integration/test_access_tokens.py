"""Every forged, foreign or ended access token is refused, wherever it is tried."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest

from tests.support.api import SECRET, Api, Settings, running_api


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def signed(token: str, key: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    """The token again with other claims; None leaves a claim out."""
    claims = {**claims_of(token), **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    header = {"kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode(kept, key, algorithm, header)


def unsigned(token: str) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return f"{header.decode().rstrip('=')}.{token.split('.')[1]}."


async def status_of(api: Api, authorization: str) -> tuple[int, str]:
    client = api.client(Authorization=authorization)
    answer = await client.get("/v1/me")
    return answer.status_code, answer.json().get("error", {}).get("code", "")


async def test_a_token_signed_again_as_it_was_is_good(api: Api) -> None:
    token = (await api.a_user()).session["access_token"]
    assert await status_of(api, f"Bearer {signed(token)}") == (200, "")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_700_000_000},
        {"iss": "someone else"},
        {"aud": "someone else"},
        {"typ": "refresh"},
        {"sub": "nobody"},
        {"sid": "no session"},
        {"key": "another key, with more than 32 bytes too"},
        {"algorithm": "HS384"},
        *({name: None} for name in ("iss", "aud", "sub", "exp", "iat", "jti", "typ", "sid")),
    ],
    ids=str,
)
async def test_a_token_that_is_not_exactly_ours_is_refused(
    api: Api, changes: dict[str, Any]
) -> None:
    token = (await api.a_user()).session["access_token"]
    assert await status_of(api, f"Bearer {signed(token, **changes)}") == (401, "UNAUTHENTICATED")


async def test_an_unsigned_or_mutilated_token_is_refused(api: Api) -> None:
    user = await api.a_user()
    token = user.session["access_token"]
    head, body, signature = token.split(".")
    another = (await api.a_user()).session["access_token"].split(".")[1]
    wrong = [
        unsigned(token),
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{another}.{signature}",
        token[:-2],
        user.session["refresh_token"],
        "nonsense",
        "x" * 20_000,
    ]
    for each in wrong:
        assert await status_of(api, f"Bearer {each}") == (401, "UNAUTHENTICATED"), each


async def test_the_header_must_be_a_bearer_token(api: Api) -> None:
    token = (await api.a_user()).session["access_token"]
    assert await status_of(api, f"bearer {token}") == (200, "")
    assert await status_of(api, f"BEARER {token}") == (200, "")
    for header in (token, f"Basic {token}", "Bearer", ""):
        assert await status_of(api, header) == (401, "UNAUTHENTICATED"), header


async def test_a_token_in_the_url_or_a_cookie_opens_nothing(api: Api) -> None:
    token = (await api.a_user()).session["access_token"]
    client = api.client(Cookie=f"access_token={token}; windlass_refresh={token}")
    for path in ("/v1/me", f"/v1/me?access_token={token}", f"/v1/me?token={token}"):
        assert (await client.get(path)).status_code == 401, path


async def test_an_access_token_ends_after_its_time(database_url: str) -> None:
    async with running_api(database_url, Settings(access_ttl=timedelta(0))) as api:
        user = await api.a_user()
        answer = await user.client.get("/v1/me")
    assert user.session["expires_in"] == 0
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_strangers_are_refused_before_their_body_is_read(api: Api) -> None:
    """Neither its size nor its faults matter."""
    client = api.client()
    for body in (b"not json", b"x" * 17 * 1024 * 1024):
        answer = await client.post("/v1/jobs", content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
