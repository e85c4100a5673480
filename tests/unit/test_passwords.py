from __future__ import annotations

from collections.abc import Iterator

import bcrypt
import pytest

from internal.adapters.security.passwords import BcryptHasher

ROUNDS = 4


@pytest.fixture
def hasher() -> Iterator[BcryptHasher]:
    hasher = BcryptHasher(ROUNDS)
    yield hasher
    hasher.close()


@pytest.mark.parametrize(
    "password",
    [
        "correct horse",
        "x" * 1024,
        "with\0a NUL in it",
        "\N{GRINNING FACE}" * 10,
        "e\u0301 is not \u00e9",
    ],
    ids=["plain", "long", "nul", "emoji", "accents"],
)
async def test_a_password_opens_its_own_hash_only(hasher: BcryptHasher, password: str) -> None:
    hashed = await hasher.hash(password)
    assert await hasher.verify(password, hashed)
    assert not await hasher.verify(password + "x", hashed)
    assert not await hasher.verify(password[:-1], hashed)


async def test_every_byte_of_a_long_password_counts(hasher: BcryptHasher) -> None:
    """Plain bcrypt looks at 72 bytes."""
    hashed = await hasher.hash("x" * 1023 + "y")
    assert not await hasher.verify("x" * 1023 + "z", hashed)


async def test_equal_passwords_have_different_hashes(hasher: BcryptHasher) -> None:
    assert await hasher.hash("correct horse") != await hasher.hash("correct horse")


async def test_an_unknown_user_has_no_right_password(hasher: BcryptHasher) -> None:
    assert not await hasher.verify("correct horse", None)


async def test_an_unknown_user_costs_as_many_rounds_as_a_known_one(
    hasher: BcryptHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = await hasher.hash("correct horse")
    work: list[bytes] = []
    hashpw = bcrypt.hashpw

    def noted(password: bytes, salt: bytes) -> bytes:
        work.append(salt[:7])
        return hashpw(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", noted)
    await hasher.verify("correct horse", None)
    await hasher.verify("correct horse", hashed)
    assert work == [b"$2b$04$", b"$2b$04$"]
