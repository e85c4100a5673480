"""Steps of operations on many jobs, taken by hand."""

from __future__ import annotations

from tests.support.store import Store


async def steps(store: Store, *, hurried: bool = False) -> None:
    """All that are due; those too that are not yet, if `hurried`."""
    while (pause := await store.operation_steps.step()) is not None:
        if not pause:
            continue
        if not hurried:
            return
        await hurry(store)


async def hurry(store: Store) -> None:
    """Those that nobody is at: it may wait for nobody."""
    await store.execute("""
        update operation set next_at = now() - interval '1 hour'
        where id in (select id from operation where status = 'running' for update skip locked)
    """)
