"""Counting requests for Prometheus."""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

# From a quick read to a login's password hash and a large batch.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """By route template, never by path: the number of series stays small."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "windlass_http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "windlass_http_request_seconds",
            "From the request's head to the end of its answer",
            ("method", "route"),
            buckets=BUCKETS,
            registry=registry,
        )
        # Finding a series by its labels takes four times as long as counting in it.
        self._series = cache(self._find_series)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        requests, durations = self._series(method if method in METHODS else "other", route, status)
        requests.inc()
        durations.observe(seconds)

    def _find_series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, status), self._seconds.labels(method, route)
