"""Keeping what one user adds in order."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from internal.adapters.postgres.schema import account
from internal.domain.accounts import Actor
from internal.domain.errors import UnauthenticatedError


async def lock_owner(connection: AsyncConnection, actor: Actor) -> None:
    """Until the transaction ends, others of this user wait here: so they count what this one adds.

    Raises:
        UnauthenticatedError: when the account does not exist any more.
    """
    owner = select(account.c.id).where(account.c.id == actor.user_id)
    if (await connection.execute(owner.with_for_update(key_share=True))).one_or_none() is None:
        raise UnauthenticatedError("this account does not exist any more")
