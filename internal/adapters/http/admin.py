"""The routes of admins."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from internal.adapters.http.requests import ApiRequest
from internal.adapters.http.routes import private
from internal.domain.errors import ForbiddenError
from internal.domain.invariants import Finding
from internal.services.invariants import Invariants

TAGS: Final = ("Admin",)


class InvariantsAnswer(msgspec.Struct, frozen=True):
    """How each invariant stands."""

    data: list[Finding]


class AdminRoutes:
    """What only users with the role `admin` may ask."""

    def __init__(self, invariants: Invariants) -> None:
        self._invariants = invariants

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        invariants = private(
            "invariants",
            "Check the invariants",
            ForbiddenError,
            tags=TAGS,
        )
        return [get("/v1/admin/invariants", **invariants)(self.invariants)]

    async def invariants(self, request: ApiRequest) -> InvariantsAnswer:
        """Whether what must always hold does, over all users; for users with the role `admin`.

        Some is checked on the data, at most every 30 seconds, and `violations` names what breaks
        it; the rest is proven by tests.
        """
        return InvariantsAnswer(await self._invariants.report(request.user))
