from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.adapters.security.tokens import Tokens
from internal.domain.accounts import Session
from internal.domain.errors import UnauthenticatedError

SECRET = "a secret of tests, with more than 32 bytes"
TTL = timedelta(minutes=15)


def a_session(generation: int = 1) -> Session:
    return Session(id=uuid4(), user_id=uuid4(), generation=generation)


def test_an_access_token_names_user_session_and_end() -> None:
    session, now = a_session(), datetime.now(UTC).replace(microsecond=0)
    token, life = Tokens(SECRET, TTL).access(session, now)
    actor = Tokens(SECRET, TTL).verify(token)
    assert (actor.user_id, actor.session_id) == (session.user_id, session.id)
    assert (actor.token_expires_at, life) == (now + TTL, 900)


def test_an_access_token_has_every_claim_and_a_key_id() -> None:
    token, _ = Tokens(SECRET, TTL).access(a_session(), datetime.now(UTC))
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "exp", "iat", "jti", "typ", "sid"}
    assert (claims["iss"], claims["aud"], claims["typ"]) == ("windlass", "windlass", "access")
    assert set(jwt.get_unverified_header(token)) == {"alg", "kid", "typ"}


def test_no_two_access_tokens_are_alike() -> None:
    tokens, session, now = Tokens(SECRET, TTL), a_session(), datetime.now(UTC)
    assert tokens.access(session, now) != tokens.access(session, now)


def test_a_token_ends_at_its_time() -> None:
    tokens = Tokens(SECRET, TTL)
    token, _ = tokens.access(a_session(), datetime.now(UTC) - TTL)
    with pytest.raises(UnauthenticatedError):
        tokens.verify(token)


def test_clocks_of_two_hosts_may_differ_by_a_moment() -> None:
    tokens = Tokens(SECRET, TTL)
    token, _ = tokens.access(a_session(), datetime.now(UTC) + timedelta(seconds=5))
    tokens.verify(token)


def test_another_secret_signs_nothing_of_ours() -> None:
    token, _ = Tokens("another secret, of more than 32 bytes too", TTL).access(
        a_session(), datetime.now(UTC)
    )
    with pytest.raises(UnauthenticatedError):
        Tokens(SECRET, TTL).verify(token)


@pytest.mark.parametrize("secret", [SECRET, "another secret, of more than 32 bytes too"])
def test_a_refresh_token_is_the_same_each_time_it_is_asked_for(secret: str) -> None:
    session = a_session(7)
    token = Tokens(secret, TTL).refresh(session)
    assert Tokens(secret, TTL).refresh(session) == token
    assert Tokens(secret, TTL).read_refresh(token) == (session.id, 7)


def test_a_refresh_token_of_another_secret_is_not_ours() -> None:
    token = Tokens("another secret, of more than 32 bytes too", TTL).refresh(a_session())
    assert Tokens(SECRET, TTL).read_refresh(token) is None


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**32 - 1), st.data())
def test_a_changed_refresh_token_is_not_ours(
    number: int, generation: int, data: st.DataObject
) -> None:
    tokens = Tokens(SECRET, TTL)
    token = tokens.refresh(Session(UUID(int=number), UUID(int=0), generation))
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[at]))
    assert tokens.read_refresh(token[:at] + other + token[at + 1 :]) is None


@given(st.text())
def test_no_text_is_taken_for_a_token(text: str) -> None:
    tokens = Tokens(SECRET, TTL)
    assert tokens.read_refresh(text) is None
    assert tokens.read_refresh("wlr_" + text) is None
    with pytest.raises(UnauthenticatedError):
        tokens.verify(text)


def test_a_token_that_was_good_ends_at_its_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(SECRET, timedelta(seconds=60))
    now = datetime.now(UTC)
    token, _ = tokens.access(a_session(), now)
    tokens.verify(token)

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003
            return now + timedelta(seconds=61)

    monkeypatch.setattr("internal.adapters.security.tokens.datetime", Later)
    with pytest.raises(UnauthenticatedError):
        tokens.verify(token)
