"""The report of what always holds, over the tests' own store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from internal.adapters.postgres.invariants import LOOKED_AT, SLICE, PostgresInspection
from internal.domain.accounts import Actor, Role
from internal.services.invariants import Invariants
from tests.support.people import People
from tests.support.store import Store

# Tests' servers run without fsync, and the report says so.
DURABLE: Final = 1


async def violations(
    store: Store,
    *,
    in_slices_of: int = SLICE,
    at_most: int = LOOKED_AT,
    is_durable: bool = False,
) -> dict[int, list[str]]:
    """What a fresh look finds broken, by number; a server that is to be durable must say it is."""
    inspection = PostgresInspection(store.database, in_slices_of=in_slices_of, at_most=at_most)
    now = datetime.now(UTC)
    root = Actor(user_id=uuid4(), session_id=uuid4(), token_expires_at=now + timedelta(hours=1))
    report = await Invariants(inspection, People(Role.ADMIN), lambda: now).report(root)
    return {
        each.number: list(each.violations)
        for each in report
        if not each.holds and (is_durable or each.number != DURABLE)
    }
