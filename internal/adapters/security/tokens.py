"""Access tokens (JWT) and refresh tokens (opaque, derived)."""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from uuid import UUID, uuid4

import jwt
import msgspec

from internal.domain.accounts import Actor, Session
from internal.domain.errors import UnauthenticatedError

ALGORITHM: Final = "HS256"
ISSUER: Final = "windlass"
AUDIENCE: Final = "windlass"
CLAIMS: Final = ("iss", "aud", "sub", "exp", "iat", "jti", "typ", "sid")
# Tokens of this many clients, of half a kilobyte each, are checked once only.
REMEMBERED: Final = 4096
REFRESH_PREFIX: Final = "wlr_"

_REFRESH_BODY: Final = struct.Struct(">16sI")
_MAC_BYTES: Final = 32


class _Claims(msgspec.Struct, frozen=True):
    sub: UUID
    sid: UUID
    exp: int
    typ: Literal["access"]


class Tokens:
    """Issues and checks both kinds of token from one secret.

    A refresh token is `wlr_` and base64url of session id, generation and their HMAC-SHA256. It
    can be derived again at any time, so the database holds no token, not even a hash of one.
    """

    def __init__(self, secret: str, access_ttl: timedelta) -> None:
        self._access_key = secret.encode()
        self._refresh_key = _derive(secret, "refresh token")
        self._key_id = _derive(secret, "key id").hex()[:16]
        self._life = access_ttl // timedelta(seconds=1)
        # A check costs 65 us, a fifth of a submission, and a client sends its token many times.
        self._actor = lru_cache(maxsize=REMEMBERED)(self._read_access)

    def access(self, session: Session, now: datetime) -> tuple[str, int]:
        issued = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(session.user_id),
            "exp": issued + self._life,
            "iat": issued,
            "jti": uuid4().hex,
            "typ": "access",
            "sid": str(session.id),
        }
        headers = {"kid": self._key_id}
        return jwt.encode(claims, self._access_key, ALGORITHM, headers), self._life

    def verify(self, token: str) -> Actor:
        try:
            actor = self._actor(token)
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise UnauthenticatedError from error
        if actor.token_expires_at <= datetime.now(UTC):
            raise UnauthenticatedError
        return actor

    def refresh(self, session: Session) -> str:
        return self._refresh_token(session.id, session.generation)

    def read_refresh(self, token: str) -> tuple[UUID, int] | None:
        try:
            whole = urlsafe_b64decode(token.removeprefix(REFRESH_PREFIX) + "==")
            id_bytes, generation = _REFRESH_BODY.unpack(whole[:-_MAC_BYTES])
        except (ValueError, struct.error):
            return None
        session_id = UUID(bytes=id_bytes)
        # The whole text is held against the only right one: base64 is read leniently above.
        genuine = self._refresh_token(session_id, generation)
        return (session_id, generation) if _same(token, genuine) else None

    def _read_access(self, token: str) -> Actor:
        """What never changes about a genuine token; only its end comes nearer."""
        whole = jwt.decode_complete(
            token,
            self._access_key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            # Clocks of several hosts differ: a token issued a moment ahead is no forgery.
            options={"require": list(CLAIMS), "verify_iat": False},
        )
        if whole["header"].get("kid") != self._key_id:
            raise jwt.InvalidTokenError("signed with another key")
        claims = msgspec.convert(whole["payload"], _Claims)
        expires_at = datetime.fromtimestamp(claims.exp, UTC)
        return Actor(claims.sub, claims.sid, expires_at)

    def _refresh_token(self, session_id: UUID, generation: int) -> str:
        body = _REFRESH_BODY.pack(session_id.bytes, generation)
        mac = hmac.digest(self._refresh_key, body, hashlib.sha256)
        return REFRESH_PREFIX + urlsafe_b64encode(body + mac).decode().rstrip("=")


def _derive(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"windlass {purpose}".encode(), hashlib.sha256)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
