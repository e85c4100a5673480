"""The report of what always holds, over the tests' own store."""

from __future__ import annotations

from datetime import UTC, datetime

from internal.adapters.postgres.accounts import PostgresUsers
from internal.adapters.postgres.invariants import LOOKED_AT, SLICE, PostgresInspection
from internal.domain.accounts import Actor
from internal.services.invariants import Invariants
from tests.support.store import Store

DURABLE = 1


async def an_admin(store: Store) -> Actor:
    admin = await store.a_user()
    await store.execute("update account set role = 'admin' where id = $1", admin.user_id)
    return admin


async def violations(
    store: Store, admin: Actor, *, in_slices_of: int = SLICE, at_most: int = LOOKED_AT
) -> dict[int, list[str]]:
    """What a fresh look finds broken, by number; tests' servers run without fsync (see there)."""
    inspection = PostgresInspection(store.database, in_slices_of=in_slices_of, at_most=at_most)
    report = Invariants(inspection, PostgresUsers(store.database), lambda: datetime.now(UTC))
    found = await report.report(admin)
    return {
        each.number: list(each.violations)
        for each in found
        if not each.holds and each.number != DURABLE
    }
