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
            "What always holds, checked on the data within the last 30 seconds",
            ForbiddenError,
            tags=TAGS,
        )
        return [get("/v1/admin/invariants", **invariants)(self.invariants)]

    async def invariants(self, request: ApiRequest) -> InvariantsAnswer:
        return InvariantsAnswer(await self._invariants.report(request.user))
