"""What waits for what among the jobs of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from msgspec.structs import replace

from internal.domain.errors import FieldError, ValidationError
from internal.domain.submission import NAME_MARK, NewJob, Submission

MOST_EDGES: Final = 100_000
# Of a circle, in the message.
SHOWN: Final = 20


def link(requests: Sequence[Submission], jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """The jobs of a batch with the names in their `depends_on` replaced by ids.

    Those that others of the batch wait for are marked as `awaited`.

    Raises:
        ValidationError: when a name is given twice or to no job, when jobs wait for each other in
            a circle, or when there are too many dependencies.
    """
    names = _names(requests)
    waits = [_waits(request, names, index) for index, request in enumerate(requests)]
    edges = sum(len(job.parents) for job in jobs) + sum(map(len, waits))
    if edges > MOST_EDGES:
        message = f"all jobs together have {edges:,} dependencies; at most {MOST_EDGES:,} may be"
        raise ValidationError.of(FieldError("jobs", message))
    _refuse_circle(requests, waits)
    awaited = set(chain.from_iterable(waits))
    return [
        _linked(job, [jobs[each].id for each in waits[index]], awaited=index in awaited)
        for index, job in enumerate(jobs)
    ]


def circle(waits: Sequence[Sequence[int]]) -> list[int]:
    """Some that wait for each other, each for the next and the last for the first; or nobody."""
    left = [len(parents) for parents in waits]
    children: list[list[int]] = [[] for _ in waits]
    for child, parents in enumerate(waits):
        for parent in parents:
            children[parent].append(child)
    free = [each for each, number in enumerate(left) if not number]
    while free:
        for child in children[free.pop()]:
            left[child] -= 1
            if not left[child]:
                free.append(child)
    stuck = next((each for each, number in enumerate(left) if number), None)
    return [] if stuck is None else _walk(stuck, waits, left)


def _walk(each: int, waits: Sequence[Sequence[int]], left: Sequence[int]) -> list[int]:
    """Whoever is stuck waits for somebody who is: sooner or later one comes for the second time."""
    seen: dict[int, int] = {}
    path: list[int] = []
    while each not in seen:
        seen[each] = len(path)
        path.append(each)
        each = next(parent for parent in waits[each] if left[parent])
    return path[seen[each] :]


def _names(requests: Sequence[Submission]) -> dict[str, int]:
    names: dict[str, int] = {}
    faults = [
        FieldError("name", f"{request.name!r} is the name of another job of this batch", index)
        for index, request in enumerate(requests)
        if request.name is not None and names.setdefault(request.name, index) != index
    ]
    if faults:
        raise ValidationError.of(*faults[:100])
    return names


def _waits(request: Submission, names: Mapping[str, int], index: int) -> Sequence[int]:
    if request.depends_on is None:
        return ()
    found = []
    for each in dict.fromkeys(request.depends_on):
        if each.startswith(NAME_MARK):
            if each[1:] not in names:
                fault = FieldError("depends_on", f"no job of this batch is named {each}", index)
                raise ValidationError.of(fault)
            found.append(names[each[1:]])
    return found


def _refuse_circle(requests: Sequence[Submission], waits: Sequence[Sequence[int]]) -> None:
    stuck = circle(waits)
    if stuck:
        named = [NAME_MARK + str(requests[each].name) for each in (*stuck, stuck[0])]
        more = ["..."] if len(named) > SHOWN else []
        path = " -> ".join([*named[:SHOWN], *more])
        message = f"jobs would wait for each other for ever: {path}"
        raise ValidationError.of(FieldError("depends_on", message, stuck[0]))


def _linked(job: NewJob, siblings: Sequence[object], *, awaited: bool) -> NewJob:
    if not siblings and not awaited:
        return job
    parents = tuple(dict.fromkeys((*job.parents, *siblings)))
    return replace(job, parents=parents, awaited=awaited)
