"""Random graphs of jobs that are submitted, run, canceled and retried all at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from internal.adapters.postgres.invariants import PostgresInspection
from internal.domain.accounts import Actor
from internal.domain.errors import InvalidStateError
from internal.domain.handlers import Handlers
from internal.domain.jobs import FINISHED, Outcome, Status
from internal.domain.linking import link
from internal.domain.ports.work import ClaimedJob
from internal.domain.submission import NewJob, Submission, accept
from tests.support.store import DEFAULTS, ROUTES, Store, an_end
from tests.support.truth import Truth

WORKERS = RELEASERS = 3
ENDED_AS = """
    select d.child_id, d.parent_id, d.status, f.status as ended
    from dependency d
    left join finished f on f.job_id = d.parent_id
    where d.user_id = $1
"""


class Node(msgspec.Struct, frozen=True):
    """A job that waits for earlier ones, and fails so often before it succeeds."""

    parents: frozenset[int]
    runs_anyway: bool
    failures: int
    limit_key: str | None


class Graph(msgspec.Struct, frozen=True):
    """Jobs, the sizes of the batches they come in, and what happens to some of them by hand."""

    nodes: tuple[Node, ...]
    batches: tuple[int, ...]
    deeds: tuple[tuple[str, int], ...]
    seed: int


@st.composite
def graphs(draw: st.DrawFn, most: int = 16) -> Graph:
    size = draw(st.integers(2, most))
    nodes = [
        Node(
            parents=draw(st.frozensets(st.integers(0, index - 1), max_size=3))
            if index
            else frozenset(),
            runs_anyway=draw(st.integers(0, 4)) == 0,
            failures=draw(st.sampled_from([0, 0, 0, 0, 1, 2])),
            limit_key=draw(st.sampled_from([None, None, "one", "other"])),
        )
        for index in range(size)
    ]
    return Graph(
        nodes=tuple(nodes),
        batches=draw(st.lists(st.integers(1, 6), min_size=size).map(tuple)),
        deeds=draw(
            st.lists(
                st.tuples(st.sampled_from(["cancel", "retry"]), st.integers(0, size - 1)),
                max_size=12,
            ).map(tuple)
        ),
        seed=draw(st.integers(0, 2**32)),
    )


class GraphHistory:
    """Plays a graph on a real store, and holds what became of it against the rules."""

    def __init__(self, store: Store, actor: Actor, graph: Graph) -> None:
        self._store = store
        self._actor = actor
        self._graph = graph
        self._random = Random(graph.seed)  # noqa: S311 - a seed makes the choices again
        self._ids: list[UUID] = []
        self._starts: Counter[int] = Counter()
        self._numbers: dict[UUID, int] = {}
        self._succeeded: set[int] = set()
        self._touched: set[int] = set()
        self._busy = True

    async def play(self) -> None:
        """Everything at once, then whatever is left."""
        workers = [await self._store.a_worker() for _ in range(WORKERS)]
        behind = [
            *(asyncio.create_task(self._work(each)) for each in workers),
            *(asyncio.create_task(self._release()) for _ in range(RELEASERS)),
        ]
        try:
            await asyncio.gather(self._submit(), self._meddle())
        finally:
            self._busy = False
            await asyncio.gather(*behind)
        # A gate may have to wait for its time: it is looked at as long as jobs are queued.
        async with asyncio.timeout(20):
            while await self._settle(100) or await self._run(workers[0]) or await self._is_queued():
                pass

    async def check(self) -> None:
        """No job waits for ever, and each is in the state that the rules demand."""
        found = [await self._store.job(self._actor, each) for each in self._ids]
        ends = [each.status for each in found]
        assert set(ends) <= FINISHED, ends
        for index, node in enumerate(self._graph.nodes):
            if index not in self._touched:
                ran = self._starts[index] > 0
                good = all(ends[each] is Status.SUCCEEDED for each in node.parents)
                assert ran == (good or node.runs_anyway), (index, ends)
                assert ran == (ends[index] is not Status.CANCELED), (index, ends)
                if not ran:
                    reasons = [
                        f"dependency {self._ids[each]} {word}"
                        for each in node.parents
                        for word in ("failed", "was canceled")
                    ]
                    assert found[index].last_error in reasons
        async with self._store.database.hot() as connection:
            ties = await connection.fetch(ENDED_AS, self._actor.user_id)
        assert len(ties) == sum(len(node.parents) for node in self._graph.nodes)
        assert all(row["status"] == row["ended"] for row in ties), ties
        await Truth(self._store, is_heard=False).check(set(self._ids))
        breaches = [
            each
            async for some in PostgresInspection(self._store.database).breaches()
            for each in some
            if each.number != 1
        ]
        assert breaches == []

    async def _submit(self) -> None:
        for batch in self._batches():
            requests = [self._request(batch, index) for index in batch]
            new: Sequence[NewJob] = [
                accept(each, Handlers([]), DEFAULTS, index=place)
                for place, each in enumerate(requests)
            ]
            new = link(requests, new)
            self._numbers |= {each.id: index for each, index in zip(new, batch, strict=True)}
            await self._store.submissions.submit(self._actor, new)
            self._ids += [each.id for each in new]
            await self._pause()

    def _batches(self) -> Iterator[range]:
        begin, size = 0, len(self._graph.nodes)
        for each in self._graph.batches:
            if begin < size:
                yield range(begin, min(begin + each, size))
            begin += each

    def _request(self, batch: range, index: int) -> Submission:
        node = self._graph.nodes[index]
        request: dict[str, Any] = {
            "type": "noop",
            "name": f"job {index}",
            "max_attempts": 1,
            "concurrency_key": node.limit_key,
            "depends_on": [
                f"@job {each}" if each in batch else str(self._ids[each])
                for each in sorted(node.parents)
            ],
            "on_dependency_failure": "run" if node.runs_anyway else "cancel",
        }
        return msgspec.convert(request, Submission)

    async def _meddle(self) -> None:
        for deed, index in self._graph.deeds:
            await self._pause()
            if index < len(self._ids):
                # Before it is done: it may be claimed at once.
                untouched = self._touched | {index}
                before, self._touched = self._touched, untouched
                try:
                    await getattr(self._store.commands, deed)(self._actor, self._ids[index])
                except InvalidStateError:
                    self._touched = before

    async def _is_queued(self) -> bool:
        query = "select true from job_state where user_id = $1 and status = 2 limit 1"
        async with self._store.database.hot() as connection:
            return bool(await connection.fetchval(query, self._actor.user_id))

    async def _release(self) -> None:
        while self._busy:
            await self._settle(self._random.choice([1, 2, 100]))
            await self._pause()

    async def _settle(self, limit: int) -> bool:
        settled = await self._store.upkeep.settle_dependencies(limit)
        looked, _ = await self._store.upkeep.admit(100)
        return bool(settled or looked)

    async def _work(self, worker: str) -> None:
        while self._busy:
            await self._run(worker)
            await self._pause()

    async def _run(self, worker: str) -> bool:
        claimed = await self._store.work.claim(worker, ROUTES, self._random.choice([1, 2, 5]))
        for job in claimed:
            self._check_start(job)
        await self._pause()
        ends = [an_end(each, self._outcome(each)) for each in claimed]
        good = [each.lease.job_id for each in ends if each.outcome is Outcome.SUCCEEDED]
        self._succeeded |= {self._numbers[each] for each in good}
        assert await self._store.work.finish(ends) == set()
        return bool(claimed)

    def _check_start(self, job: ClaimedJob) -> None:
        index = self._numbers[job.id]
        node = self._graph.nodes[index]
        self._starts[index] += 1
        assert job.parents.keys() == {f"job {each}" for each in node.parents}
        if index not in self._touched and not node.runs_anyway:
            assert node.parents <= self._succeeded, f"job {index} starts too early"
            assert {each.status for each in job.parents.values()} <= {Status.SUCCEEDED}

    def _outcome(self, job: ClaimedJob) -> Outcome:
        index = self._numbers[job.id]
        is_failure = self._starts[index] <= self._graph.nodes[index].failures
        return Outcome.FAILED if is_failure else Outcome.SUCCEEDED

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.choice([0, 0, 0.001, 0.004]))
