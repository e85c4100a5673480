"""A stateful property test: rules that Hypothesis puts into histories, and a model beside them."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from internal.domain.jobs import Outcome
from tests.support.machine.bench import USERS
from tests.support.machine.model import End
from tests.support.machine.requests import Wanted, requests
from tests.support.machine.storm import Storm
from tests.support.machine.upkeep import Upkeep
from tests.support.machine.users import Users
from tests.support.machine.workers import Workers


class Machine(Users, Workers, Upkeep, Storm):
    """All rules together; each history begins with jobs in every state."""

    @initialize(wanted=st.lists(requests, min_size=9, max_size=12))
    def begin(self, wanted: list[Wanted]) -> None:
        for number, each in enumerate(wanted):
            self.submit(number % USERS, [each], hours=number % 3 % 2, is_old=number % 2 > 0)
        self.claim(0, limit=4)
        self.fail([0], End(Outcome.FAILED, permanent=True))
        self.complete([0])
        self.snooze([0])
        self.cancel(1, whose=0)
        self.claim(1, limit=1)
        self.crash(0, is_polite=True, blamed=[])


__all__ = ["Machine"]
