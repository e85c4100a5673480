"""A stateful property test: rules that Hypothesis puts into histories, and a model beside them."""

from tests.support.machine.storm import Storm
from tests.support.machine.upkeep import Upkeep
from tests.support.machine.users import Users
from tests.support.machine.workers import Workers


class Machine(Users, Workers, Upkeep, Storm):
    """All rules together."""


__all__ = ["Machine"]
