"""The HTTP half of live events: tickets for browsers, which cannot set headers on a WebSocket."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from internal.adapters.http.requests import ApiRequest
from internal.adapters.http.routes import private
from internal.services.accounts import Accounts


class Ticket(msgspec.Struct, frozen=True):
    """The first message of a WebSocket on `/v1/ws/jobs`; it works once, within `expires_in` s."""

    ticket: str
    expires_in: Annotated[int, Meta(examples=[30])]


class TicketAnswer(msgspec.Struct, frozen=True):
    """A fresh ticket."""

    data: Ticket


class LiveRoutes:
    """Tickets."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        ticket = private("ticket", "A ticket for the WebSocket", tags=("Live",))
        return [post("/v1/ws/ticket", **ticket)(self.ticket)]

    async def ticket(self, request: ApiRequest) -> TicketAnswer:
        ticket, seconds = await self._accounts.issue_ticket(request.user)
        return TicketAnswer(Ticket(ticket, seconds))
