"""The accounts."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql

from internal.adapters.postgres.database import Database
from internal.adapters.postgres.schema import account, tenant
from internal.domain.accounts import Role, User, email_key
from internal.domain.errors import EmailTakenError
from internal.domain.ids import new_id

_USER: Final = (account.c.id, account.c.email, account.c.role, account.c.created_at)


class PostgresUsers:
    """One statement each, but for `add`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, email: str, password_hash: str, role: Role) -> User:
        new = (
            postgresql.insert(account)
            .values(
                id=new_id(),
                email=email.strip(),
                email_key=email_key(email),
                password_hash=password_hash,
                role=role,
            )
            # Of two who sign up at once the second waits here for the first, and then gets no row.
            .on_conflict_do_nothing(constraint="account_email")
            .returning(*_USER)
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(new)).one_or_none()
            if row is None:
                raise EmailTakenError
            await connection.execute(insert(tenant).values(user_id=row.id))
        return _user(row)

    async def by_email(self, email: str) -> tuple[User, str] | None:
        query = select(*_USER, account.c.password_hash).where(_has(email))
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (_user(row), row.password_hash)

    async def get(self, user_id: UUID) -> User | None:
        query = select(*_USER).where(account.c.id == user_id)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _user(row)

    async def set_role(self, email: str, role: Role) -> bool:
        change = update(account).where(_has(email)).values(role=role)
        async with self._database.begin() as connection:
            return (await connection.execute(change)).rowcount == 1


def _has(email: str) -> Any:
    return account.c.email_key == email_key(email)


def _user(row: Any) -> User:
    return User(id=row.id, email=row.email, role=Role(row.role), created_at=row.created_at)
