"""The `http` job type: calls a URL, and judges by the answer whether to try again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Final

import httpcore

from internal.adapters.handlers.cancellation import unless_canceled
from internal.adapters.handlers.egress import GuardedBackend, Network, Resolve, SystemResolver
from internal.adapters.handlers.http_answer import HttpAnswer, judge, read_answer
from internal.adapters.handlers.http_input import HttpInput, split_url
from internal.domain.declaring import handler
from internal.domain.handlers import Handler, JobContext
from internal.domain.outcomes import Retry

_UNREACHED: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,
)


def http_handler(
    allow: Iterable[Network] = (),
    *,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
) -> Handler:
    """The handler, which opens one connection a job and keeps none: users share nothing.

    Args:
        allow: networks that jobs may reach although they are not public.
        resolve: how names become addresses; the system's way if None.
        tls: whom to trust; the system's and certifi's authorities if None.
    """
    system = SystemResolver()
    networks = tuple(allow)
    trust = tls or httpcore.default_ssl_context()
    agent = f"Windlass/{version('windlass')}"

    @handler("http")
    async def http(job: HttpInput, ctx: JobContext) -> HttpAnswer:
        """Call a URL. 2xx succeeds, 4xx fails for good except 408, 425 and 429, the rest retries.

        Redirects are not followed; `Retry-After` is honoured up to a day.
        """
        request = _request(job, ctx, agent)
        backend = GuardedBackend(networks, resolve or partial(system.resolve, ctx.user_id))
        call = _exchange(request, backend, trust, job.timeout_ms / 1000)
        return judge(await unless_canceled(ctx, call), datetime.now(UTC))

    return http


def _request(job: HttpInput, ctx: JobContext, agent: str) -> httpcore.Request:
    url = _url(job.url)
    body = _body(job)
    headers = {
        "host": _authority(url),
        "connection": "close",
        "user-agent": agent,
        "accept": "*/*",
        "accept-encoding": "identity",
        **{name.lower(): value for name, value in job.headers.items()},
        "windlass-job-id": str(ctx.job_id),
        "windlass-attempt": str(ctx.attempt),
    }
    if body is not None:
        headers["content-length"] = str(len(body))
    return httpcore.Request(job.method, url, headers=list(headers.items()), content=body)


def _url(text: str) -> httpcore.URL:
    parts = split_url(text)
    query = f"?{parts.query}" if parts.query else ""
    return httpcore.URL(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port,
        target=(parts.path or "/") + query,
    )


def _authority(url: httpcore.URL) -> str:
    """Built from the checked parts: what else the URL may have had beside them stays out."""
    host = url.host.decode()
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if url.port is None else f"{bracketed}:{url.port}"


def _body(job: HttpInput) -> bytes | None:
    """Methods that are about a body say that theirs is empty: some servers insist."""
    if job.body is None:
        return b"" if job.method in {"POST", "PUT", "PATCH"} else None
    return job.body.encode()


async def _exchange(
    request: httpcore.Request, backend: GuardedBackend, trust: ssl.SSLContext, seconds: float
) -> HttpAnswer:
    origin = request.url.origin
    connection = httpcore.AsyncHTTPConnection(origin, trust, network_backend=backend)
    try:
        async with asyncio.timeout(seconds), connection:
            return await read_answer(await connection.handle_async_request(request))
    except TimeoutError as error:
        raise Retry(f"no complete answer within {seconds:g} s") from error
    except _UNREACHED as error:
        why = str(error) or type(error).__name__
        raise Retry(f"the call of {origin.host.decode()} did not go through: {why}") from error
