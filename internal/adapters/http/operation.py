"""The routes for whoever runs Windlass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal

import msgspec
from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from internal.adapters.http.metrics import worker_metrics
from internal.adapters.http.routes import public
from internal.domain.errors import UnavailableError
from internal.domain.ports.fleet import Fleet

TAGS: Final = ("Operation",)

# Raises UnavailableError, saying what is missing, until requests can be served.
Readiness = Callable[[], Awaitable[None]]


class Health(msgspec.Struct, frozen=True):
    """The process runs."""

    status: Literal["ok"]


class Ready(msgspec.Struct, frozen=True):
    """Requests can be served."""

    status: Literal["ready"]


class OperationRoutes:
    """Health, readiness and metrics."""

    def __init__(self, check_ready: Readiness, registry: CollectorRegistry, fleet: Fleet) -> None:
        self._check_ready = check_ready
        self._registry = registry
        self._fleet = fleet

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them; they need no token."""
        health = public("health", "Ask whether the process runs", tags=TAGS)
        ready = public(
            "ready",
            "Ask whether requests can be served",
            UnavailableError,
            tags=TAGS,
        )
        metrics = public("metrics", "Get numbers for Prometheus", tags=TAGS)
        return [
            get("/health", **health)(self.health),
            get("/ready", **ready)(self.ready),
            get("/metrics", media_type=MediaType.TEXT, **metrics)(self.metrics),
        ]

    async def health(self) -> Health:
        """For whatever restarts processes: it answers as long as this one lives.

        Nothing else is looked at: without its database it answers too.
        """
        return Health("ok")

    async def ready(self) -> Ready:
        """For load balancers: with 503 and what is missing while requests cannot be served."""
        await self._check_ready()
        return Ready("ready")

    async def metrics(self) -> Response[bytes]:
        """Requests by route and status, how long they take, and the live workers.

        In Prometheus's text format; the example shows two of the numbers.
        """
        numbers = generate_latest(self._registry)
        with suppress(UnavailableError):  # the process's own numbers matter most when that is so
            numbers += worker_metrics(await self._fleet.loads())
        return Response(numbers, media_type=CONTENT_TYPE_LATEST)
