from __future__ import annotations

from tests.support.api import PASSWORD, Api


async def test_signing_up_answers_a_session_that_works_at_once(api: Api) -> None:
    answer = await api.client().post(
        "/v1/signup", json={"email": " Ada@Example.com ", "password": PASSWORD}
    )
    assert answer.status_code == 201
    session = answer.json()["data"]
    assert session["user"]["email"] == "Ada@Example.com"
    assert session["user"]["role"] == "user"
    assert session["user"]["created_at"].endswith("Z")
    assert session["token_type"] == "bearer"
    assert session["expires_in"] == 900
    assert "set-cookie" not in answer.headers
    me = await api.client(session["access_token"]).get("/v1/me")
    assert (me.status_code, me.json()["data"]) == (200, session["user"])
