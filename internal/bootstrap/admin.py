from __future__ import annotations

from internal.adapters.postgres.accounts import PostgresUsers
from internal.adapters.postgres.database import open_database
from internal.bootstrap.errors import StartError
from internal.domain.accounts import Role
from internal.domain.ports.accounts import Users


async def change_role(dsn: str, email: str, role: Role) -> None:
    """Give a user a role.

    Raises:
        StartError: when nobody has this email.
    """
    database = await open_database(dsn, name="windlass admin", size=1)
    try:
        users: Users = PostgresUsers(database)
        if not await users.set_role(email, role):
            raise StartError(f"nobody has signed up as {email}: they sign up first")
    finally:
        await database.close()
