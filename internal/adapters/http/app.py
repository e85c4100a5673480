"""The HTTP application."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import cast

import msgspec
from litestar import Litestar, MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ControllerRouterHandler
from prometheus_client import CollectorRegistry

from internal.adapters.http.accounts import AccountRoutes
from internal.adapters.http.admin import AdminRoutes
from internal.adapters.http.asgi import App
from internal.adapters.http.auth import admit_anyone, admit_users
from internal.adapters.http.batches import BatchRoutes
from internal.adapters.http.bulk import BulkRoutes
from internal.adapters.http.dashboard import Dashboard, Site
from internal.adapters.http.dead_letters import DeadLetterRoutes
from internal.adapters.http.deadline import ANSWERED_WITHIN_S, Deadline
from internal.adapters.http.direct import Direct, route_handler
from internal.adapters.http.errors import answer_error
from internal.adapters.http.frame import Frame, RequestLog
from internal.adapters.http.jobs import JobRoutes
from internal.adapters.http.live import LiveRoutes
from internal.adapters.http.logs import LogRoutes
from internal.adapters.http.metrics import RequestMetrics
from internal.adapters.http.openapi import describe
from internal.adapters.http.operation import OperationRoutes, Readiness
from internal.adapters.http.queues import NamesAsSent, QueueRoutes
from internal.adapters.http.requests import ApiRequest
from internal.adapters.http.schedules import ScheduleRoutes
from internal.adapters.http.workflows import WorkflowRoutes
from internal.domain.ports.accounts import TokenIssuer
from internal.domain.ports.fleet import Fleet
from internal.services.accounts import Accounts
from internal.services.batches import Batches
from internal.services.bulk import Bulk
from internal.services.dead_letters import DeadLetters
from internal.services.invariants import Invariants
from internal.services.jobs import Jobs
from internal.services.queues import Queues
from internal.services.rate import RequestRate
from internal.services.schedules import Schedules
from internal.services.workflows import Workflows


class Parts(msgspec.Struct, frozen=True):
    """What the application is built of."""

    version: str
    accounts: Accounts
    jobs: Jobs
    queues: Queues
    batches: Batches
    dead_letters: DeadLetters
    bulk: Bulk
    schedules: Schedules
    invariants: Invariants
    workflows: Workflows
    tokens: TokenIssuer
    refresh_ttl: timedelta
    check_ready: Readiness
    registry: CollectorRegistry
    request_log: RequestLog
    fleet: Fleet
    dashboard: Dashboard
    rate: RequestRate | None
    answered_within_s: float = ANSWERED_WITHIN_S


def build_app(parts: Parts, more_handlers: Sequence[ControllerRouterHandler] = ()) -> App:
    """The application around the use cases.

    Args:
        more_handlers: routes of other adapters, such as the WebSocket.
    """
    handlers: list[ControllerRouterHandler] = [
        *AccountRoutes(parts.accounts, parts.refresh_ttl).handlers(),
        *JobRoutes(parts.jobs).handlers(),
        *QueueRoutes(parts.queues).handlers(),
        *BatchRoutes(parts.batches).handlers(),
        *LogRoutes(parts.jobs).handlers(),
        *DeadLetterRoutes(parts.dead_letters).handlers(),
        *BulkRoutes(parts.bulk).handlers(),
        *ScheduleRoutes(parts.schedules).handlers(),
        *WorkflowRoutes(parts.workflows).handlers(),
        *LiveRoutes(parts.accounts).handlers(),
        *AdminRoutes(parts.invariants).handlers(),
        *OperationRoutes(parts.check_ready, parts.registry, parts.fleet).handlers(),
    ]
    api = Litestar(
        [*handlers, *more_handlers, _document(handlers, parts.version)],
        before_request=admit_users(parts.tokens, parts.rate),
        exception_handlers={Exception: answer_error},
        logging_config=None,
        openapi_config=None,
        request_class=ApiRequest,
    )
    routed = NamesAsSent(cast(App, api))
    site = Site(routed, parts.dashboard, frozenset(route.path for route in api.routes))
    direct = Direct(site, route_handler(api, "POST", "/v1/jobs"), "POST", "/v1/jobs")
    return Frame(
        Deadline(direct, parts.answered_within_s),
        parts.version,
        RequestMetrics(parts.registry),
        parts.request_log,
    )


def _document(described: Sequence[ControllerRouterHandler], version: str) -> HTTPRouteHandler:
    @cache
    def document() -> bytes:
        return describe(described, version)

    @get("/openapi.json", include_in_schema=False, before_request=admit_anyone)
    async def openapi() -> Response[bytes]:
        return Response(document(), media_type=MediaType.JSON)

    return openapi
