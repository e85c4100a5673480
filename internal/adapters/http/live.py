"""The HTTP half of live events: tickets for browsers, which cannot set headers on a WebSocket."""

from __future__ import annotations

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler

from internal.adapters.http.requests import ApiRequest
from internal.adapters.http.routes import private
from internal.services.accounts import Accounts


class Ticket(msgspec.Struct, frozen=True):
    """The first message of a WebSocket on `/v1/ws/jobs`; it works once, within `expires_in` s."""

    ticket: str
    expires_in: int


class TicketAnswer(msgspec.Struct, frozen=True):
    """A fresh ticket."""

    data: Ticket


class LiveRoutes:
    """Tickets."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        ticket = private("ticket", "Get a ticket for live events", tags=("Live",))
        return [post("/v1/ws/ticket", **ticket)(self.ticket)]

    async def ticket(self, request: ApiRequest) -> TicketAnswer:
        """For browsers, which cannot send an access token when they open a WebSocket.

        Connect to `/v1/ws/jobs` and send `{"ticket": "..."}` as the first message, within
        `expires_in` seconds; a ticket works once. Other clients send `Authorization` instead.
        """
        ticket, seconds = await self._accounts.issue_ticket(request.user)
        return TicketAnswer(Ticket(ticket, seconds))
