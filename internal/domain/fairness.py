"""Whose job is next: start-time fair queueing over users, then turns over a user's queues.

Goyal, Vin, Cheng: "Start-time Fair Queuing" (SIGCOMM 1996). A user's virtual time is the slot time
that their jobs used, in seconds, by the user's weight; the job that would start at the smallest
goes next. These rules are what `claim.sql`, `fold.sql` and the function `wake_flows` do to the
tables: tests hold both beside each other.

While two users both have queued jobs, what they are served, by weight, stays within
`l / w + l' / w'` of each other as long as one claimer takes one job at a time: the longest job of
each by their weights, as the paper proves. Claims of `b` jobs by any number of claimers keep it
within `2 (1.25 b + 1) p`, where `p` is the longest job by weight of anybody in line: no job starts
further than that from the user whose turn it is, even if another claim holds that one. To both
comes what the jobs that were claimed but not settled yet were estimated wrong.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import accumulate
from math import ceil, inf
from typing import Any, Final

import msgspec

# These numbers stand in claim.sql, fold.sql and the migrations too.
USERS_AT_ONCE: Final = 32
MOST_JOBS_OF_A_USER: Final = 16  # on average, in claims so large that these are more users
QUEUES_AT_ONCE: Final = 32
MOST_TURNS_BEHIND: Final = 100
SPARE: Final = 1.25
FIRST_COST_S: Final = 0.01
LEAST_COST_S: Final = 0.001
MEMORY: Final = 0.9
# After so many jobs nothing is left of the average before; a smaller power underflows.
REMEMBERED: Final = 1000


class Queue(msgspec.Struct, frozen=True):
    """A user's jobs of one queue and route: `jobs` in the order of their rank.

    `turn`: jobs served so far, as compared with the user's other queues. `cost`: what the next job
    is expected to use, in seconds of slot time.
    """

    id: int
    jobs: tuple[Any, ...] = ()
    turn: float = 0.0
    cost: float = FIRST_COST_S


class User(msgspec.Struct, frozen=True):
    """`virtual_time`: the start tag of the user's next job. `drained`: the last was claimed."""

    id: Any
    queues: tuple[Queue, ...]
    virtual_time: float = 0.0
    weight: float = 1.0
    drained: bool = False


class Start(msgspec.Struct, frozen=True):
    """A chosen job. `tag`: where in virtual time it starts. `cost`: what its user was charged."""

    tag: float
    queue: int
    job: Any
    user: Any
    cost: float


def claim(
    users: Iterable[User], limit: int, held: Container[Any] = ()
) -> tuple[list[Start], list[User]]:
    """Choose up to `limit` jobs in the order of their tags; with all users as they are then.

    Nothing is taken of users whom other claims hold, but their turn counts: who is ahead of them
    by more than a batch waits too.
    """
    users = list(users)
    in_line = sorted((each for each in users if _in_line(each)), key=lambda user: user.virtual_time)
    line = [user for user in in_line if user.id not in held][: users_at_once(limit)]
    others = (user for user in in_line if user not in line)
    lower = [user for user in others if line and user.virtual_time < line[-1].virtual_time]
    mark = level([*lower[:1], *line], limit)
    offers = [start for user in line for start in offer(user, mark, limit) if start.tag <= mark]
    starts = sorted(offers, key=lambda start: (start.tag, start.queue))[:limit]
    taken = {user.id: [each for each in starts if each.user == user.id] for user in line}
    return starts, [_served(user, taken.get(user.id, ()), mark, limit) for user in users]


def users_at_once(limit: int) -> int:
    """How many users a claim looks at."""
    return min(limit, max(USERS_AT_ONCE, limit // MOST_JOBS_OF_A_USER))


def level(line: Sequence[User], limit: int) -> float:
    """The virtual time up to which jobs may start: `limit` jobs and a quarter more, given as water.

    It finds its level above the lowest users; whoever stands out of it waits.
    """
    line = sorted(line, key=lambda user: user.virtual_time)
    reached, rate, jobs = inf, 0.0, SPARE * limit
    for user in line:
        rate += 1 / pace(user)
        jobs += (user.virtual_time - line[0].virtual_time) / pace(user)
        reached = min(reached, line[0].virtual_time + jobs / rate)
    return reached


def pace(user: User) -> float:
    """The virtual time that a job of the user takes on average, if the queues take turns."""
    queues = _in_line(user)
    return sum(queue.cost for queue in queues) / len(queues) / user.weight


def room(user: User, queue: Queue, mark: float, limit: int) -> int:
    """How many of a queue's jobs a claim looks at.

    Nobody can be served more than what brings them to the level and their queue to its turn: so a
    claim need not read `limit` jobs of every queue. Where others have fewer jobs than their share
    it comes out short, and the next one finds the rest.
    """
    queues = _in_line(user)
    least_pace = min(each.cost for each in queues) / user.weight
    most = min(limit, ceil(max(mark - user.virtual_time, 0) / least_pace))
    behind = max(each.turn for each in queues) - turn(user, queue)
    return int(min(most, behind + ceil(SPARE * most / len(queues)))) + 1


def turn(user: User, queue: Queue) -> float:
    """A queue that was empty for a while is not served all that it might have been."""
    last = max(each.turn for each in _in_line(user))
    return max(queue.turn, last - MOST_TURNS_BEHIND)


def offer(user: User, mark: float, limit: int) -> list[Start]:
    """The user's next jobs with their start tags: each follows the cost of those before it."""
    turns = sorted(
        ((turn(user, queue) + number, queue.id), queue, job)
        for queue in _in_line(user)
        for number, job in enumerate(queue.jobs[: room(user, queue, mark, limit)], 1)
    )
    costs = (queue.cost / user.weight for _, queue, _ in turns)
    before = accumulate(costs, initial=0.0)
    return [
        Start(user.virtual_time + cost, queue.id, job, user.id, queue.cost)
        for cost, (_, queue, job) in zip(before, turns, strict=False)
    ]


def _served(user: User, starts: Sequence[Start], mark: float, limit: int) -> User:
    if not starts:
        return user
    line = _in_line(user)
    offered = {queue.id: min(len(queue.jobs), room(user, queue, mark, limit)) for queue in line}
    return msgspec.structs.replace(
        user,
        virtual_time=user.virtual_time + sum(start.cost for start in starts) / user.weight,
        drained=len(starts) == sum(offered.values())
        and len(line) < QUEUES_AT_ONCE
        and all(offered[queue.id] < room(user, queue, mark, limit) for queue in line),
        queues=tuple(_moved_on(user, queue, starts) for queue in user.queues),
    )


def _moved_on(user: User, queue: Queue, starts: Sequence[Start]) -> Queue:
    taken = {start.job for start in starts if start.queue == queue.id}
    if not taken:
        return queue
    jobs = tuple(job for job in queue.jobs if job not in taken)
    if len(_in_line(user)) == 1:  # needs no turns
        return msgspec.structs.replace(queue, jobs=jobs)
    return msgspec.structs.replace(queue, jobs=jobs, turn=turn(user, queue) + len(taken))


def _in_line(user: User) -> list[Queue]:
    queues = sorted((queue for queue in user.queues if queue.jobs), key=lambda queue: queue.turn)
    return queues[:QUEUES_AT_ONCE]


def paid(user: User, used: float, charged: float) -> User:
    """The user pays the difference between what jobs used and what claims took for them."""
    later = user.virtual_time + (used - charged) / user.weight
    return msgspec.structs.replace(user, virtual_time=later)


def used(slot_time_s: float) -> float:
    """What an attempt costs its user: starting and ending it is work too."""
    return max(slot_time_s, LEAST_COST_S)


def averaged(queue: Queue, used: float, jobs: int) -> Queue:
    """The running average after `jobs` more that used so much together."""
    mean = used / jobs
    kept = MEMORY ** min(jobs, REMEMBERED)
    return msgspec.structs.replace(queue, cost=mean + (queue.cost - mean) * kept)


def woken(user: User, in_service: float) -> User:
    """A user who was idle starts where those in service are: idleness earns no credit."""
    later = max(user.virtual_time, in_service)
    return msgspec.structs.replace(user, virtual_time=later, drained=False)


def turned_to(queue: Queue, awake: Iterable[Queue]) -> Queue:
    """The same between a user's queues, for one that gets its first job."""
    first = min((other.turn for other in awake), default=queue.turn)
    return msgspec.structs.replace(queue, turn=max(queue.turn, first))
