"""Users with jobs of known costs, to try the rules of fairness on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import combinations

from hypothesis import strategies as st
from msgspec.structs import replace

from internal.domain.fairness import Queue, Start, User, averaged, claim, paid, turned_to, woken

COSTS = (0.001, 0.004, 0.01, 0.25, 3.0, 60.0)
WEIGHTS = st.sampled_from([0.5, 1.0, 1.0, 3.0, 10.0])
ROUNDING = 1e-6


class Farm:
    """Users by number, and how far apart their service came while two of them had jobs.

    Each queue has jobs of one true cost; estimates begin right.
    """

    def __init__(self, users: Iterable[User]) -> None:
        self.users: dict[int, User] = {user.id: replace(user, drained=True) for user in users}
        self.apart: defaultdict[tuple[int, int], float] = defaultdict(float)
        self._costs = {
            queue.id: queue.cost for user in self.users.values() for queue in user.queues
        }
        self._guesses = dict(self._costs)
        self._served = dict.fromkeys(self.users, 0.0)
        self._unsettled: list[Start] = []
        self._submitted = 0
        self._spans: dict[tuple[int, int], tuple[float, float]] = {}

    def submit(self, user_id: int, number: int, jobs: int) -> None:
        """Give a user jobs in one of their queues; numbers past the last begin again."""
        user_id %= len(self.users)
        user = self.users[user_id]
        if jobs and not self.jobs(user_id):
            user = woken(user, self._in_service())
        queues = list(user.queues)
        queue = queues[number % len(queues)]
        if jobs and not queue.jobs:
            queue = turned_to(queue, [other for other in queues if other.jobs])
        new = tuple(range(self._submitted, self._submitted + jobs))
        self._submitted += jobs
        queues[number % len(queues)] = replace(queue, jobs=queue.jobs + new)
        self.users[user_id] = replace(user, queues=tuple(queues))

    def claim(self, limit: int, held: Container[int] = ()) -> list[Start]:
        """What is chosen, in order."""
        self._measure()
        starts, after = claim(self.users.values(), limit, held)
        self.users = {user.id: user for user in after}
        for start in starts:
            self._served[start.user] += self._costs[start.queue] / self.users[start.user].weight
        self._unsettled += starts
        self._measure()
        return starts

    def estimate_all(self, guess: Callable[[float], float]) -> None:
        """Let the averages begin wrong."""
        for user_id, user in self.users.items():
            queues = tuple(replace(each, cost=guess(each.cost)) for each in user.queues)
            self.users[user_id] = replace(user, queues=queues)
            self._guesses |= {queue.id: queue.cost for queue in queues}

    def unsettled(self) -> float:
        """By how much, at most, somebody was charged wrong."""
        off: defaultdict[int, float] = defaultdict(float)
        for start in self._unsettled:
            error = abs(self._costs[start.queue] - start.cost)
            off[start.user] += error / self.users[start.user].weight
        return max(off.values(), default=0.0)

    def settle(self) -> None:
        """All jobs that were claimed end, and are paid."""
        for start in self._unsettled:
            cost = self._costs[start.queue]
            user = paid(self.users[start.user], used=cost, charged=start.cost)
            queues = tuple(
                averaged(each, cost, 1) if each.id == start.queue else each for each in user.queues
            )
            self.users[user.id] = replace(user, queues=queues)
        self._unsettled.clear()

    def jobs(self, user_id: int) -> int:
        """How many are queued."""
        return sum(len(queue.jobs) for queue in self.users[user_id].queues)

    def longest(self, user_id: int) -> float:
        """A user's longest job by weight."""
        return self._longest(user_id, self._costs)

    def longest_guess(self, user_id: int) -> float:
        """The same as the estimates began."""
        return self._longest(user_id, self._guesses)

    def _longest(self, user_id: int, costs: dict[int, float]) -> float:
        user = self.users[user_id]
        return max(costs[queue.id] for queue in user.queues) / user.weight

    def _in_service(self) -> float:
        busy = [user.virtual_time for user in self.users.values() if self.jobs(user.id)]
        return min(busy) if busy else max(user.virtual_time for user in self.users.values())

    def _measure(self) -> None:
        for pair in combinations(self.users, 2):
            if not all(self.jobs(each) for each in pair):
                self._spans.pop(pair, None)
                continue
            difference = self._served[pair[0]] - self._served[pair[1]]
            low, high = self._spans.get(pair, (difference, difference))
            low, high = min(low, difference), max(high, difference)
            self._spans[pair] = low, high
            self.apart[pair] = max(self.apart[pair], high - low)


@st.composite
def farms(draw: st.DrawFn, users: int = 8, queues: int = 3, costs: Sequence[float] = COSTS) -> Farm:
    """Up to so many users with up to so many queues each."""
    return Farm(
        User(
            id=number,
            weight=draw(WEIGHTS),
            queues=tuple(
                Queue(id=number * queues + each, cost=draw(st.sampled_from(costs)))
                for each in range(draw(st.integers(1, queues)))
            ),
        )
        for number in range(draw(st.integers(2, users)))
    )
