from __future__ import annotations

import asyncio

import pytest

from tests.support.api import PASSWORD, Api, Settings, running_api


async def test_signing_up_answers_a_session_that_works_at_once(api: Api) -> None:
    answer = await api.client().post(
        "/v1/signup", json={"email": " First@Example.com ", "password": PASSWORD}
    )
    assert answer.status_code == 201
    session = answer.json()["data"]
    assert set(session) == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    assert set(session["user"]) == {"id", "email", "role", "created_at"}
    assert session["user"]["email"] == "First@Example.com"
    assert session["user"]["role"] == "user"
    assert session["user"]["created_at"].endswith("Z")
    assert (session["token_type"], session["expires_in"]) == ("bearer", 900)
    assert session["refresh_token"].startswith("wlr_")
    assert "set-cookie" not in answer.headers
    me = await api.client(session["access_token"]).get("/v1/me")
    assert (me.status_code, me.json()["data"]) == (200, session["user"])


async def test_an_email_is_one_account_in_any_spelling(api: Api) -> None:
    user = await api.a_user("Ada@Example.com")
    for spelling in ("ada@example.com", "ADA@EXAMPLE.COM", " Ada@example.COM "):
        credentials = {"email": spelling, "password": PASSWORD}
        taken = await api.client().post("/v1/signup", json=credentials)
        assert (taken.status_code, taken.json()["error"]["code"]) == (409, "EMAIL_TAKEN")
        session = await api.client().post("/v1/login", json=credentials)
        assert session.json()["data"]["user"] == user.session["user"]


async def test_of_many_who_sign_up_at_once_with_one_email_one_does(api: Api) -> None:
    body = {"email": "race@example.com", "password": PASSWORD}
    client = api.client()
    answers = await asyncio.gather(*(client.post("/v1/signup", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


@pytest.mark.parametrize("email", ["", "ada", "a@", "@b", "a b@c", "a@b@c", "a\x00@b", "a@b" * 99])
async def test_what_is_no_email_cannot_sign_up(api: Api, email: str) -> None:
    answer = await api.client().post("/v1/signup", json={"email": email, "password": PASSWORD})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in error["details"]] == ["email"]


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025, "\N{GRINNING FACE}" * 257])
async def test_a_password_has_8_to_1024_bytes(api: Api, password: str) -> None:
    answer = await api.client().post("/v1/signup", json={"email": "a@b", "password": password})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"] == [
        {"field": "password", "message": "must be 8 to 1,024 bytes"}
    ]


async def test_every_fault_of_a_signup_is_named(api: Api) -> None:
    answer = await api.client().post("/v1/signup", json={"email": "ada", "password": "short"})
    fields = [detail["field"] for detail in answer.json()["error"]["details"]]
    assert fields == ["email", "password"]


@pytest.mark.parametrize(
    "password",
    ["\N{GRINNING FACE}" * 256, "nul \0 byte", "x" * 1024],
    ids=["emoji", "nul", "longest"],
)
async def test_an_unusual_password_logs_in(api: Api, password: str) -> None:
    user = await api.a_user(password=password)
    answer = await api.client().post("/v1/login", json={"email": user.email, "password": password})
    assert answer.status_code == 200


async def test_wrong_passwords_and_unknown_emails_are_answered_alike(api: Api) -> None:
    user = await api.a_user()
    guesses = [
        (user.email, "wrong password"),
        (user.email, "short"),
        (user.email, PASSWORD + "x" * 5000),
        ("nobody@example.com", PASSWORD),
        ("no email", PASSWORD),
        ("nul\x00@example.com", PASSWORD),
    ]
    answers = [
        await api.client().post("/v1/login", json={"email": email, "password": password})
        for email, password in guesses
    ]
    assert {answer.status_code for answer in answers} == {401}
    shown = [answer.json()["error"] | {"request_id": ""} for answer in answers]
    assert all(each == shown[0] for each in shown)
    assert shown[0]["code"] == "INVALID_CREDENTIALS"


async def test_the_admin_email_signs_up_as_admin(database_url: str) -> None:
    settings = Settings(admin_email="Root@Example.com")
    async with running_api(database_url, settings) as api:
        admin = await api.a_user("root@example.com")
        other = await api.a_user("root2@example.com")
    assert admin.session["user"]["role"] == "admin"
    assert other.session["user"]["role"] == "user"


async def test_a_granted_role_shows_at_once(api: Api) -> None:
    user = await api.a_user()
    await api.store.execute("update account set role = 'admin' where email = $1", user.email)
    assert (await user.client.get("/v1/me")).json()["data"]["role"] == "admin"


async def test_an_account_that_is_gone_is_nobody(api: Api) -> None:
    user = await api.a_user()
    await api.store.execute("delete from account where email = $1", user.email)
    me = await user.client.get("/v1/me")
    assert (me.status_code, me.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    submitted = await user.client.post("/v1/jobs", json={"type": "mock"})
    assert (submitted.status_code, submitted.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
