"""The API process."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY

import internal
from internal.adapters.http import frame
from internal.adapters.http.app import Parts, build_app
from internal.adapters.http.asgi import App
from internal.adapters.http.dashboard import load_dashboard
from internal.adapters.postgres.clock import PostgresClock
from internal.adapters.postgres.database import open_database
from internal.adapters.postgres.fleet import PostgresFleet
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.adapters.security.passwords import BcryptHasher
from internal.adapters.security.tokens import Tokens
from internal.adapters.telemetry import log_lines
from internal.adapters.telemetry.requests import JsonRequestLog, TextRequestLog
from internal.adapters.websocket.jobs import JobSockets
from internal.bootstrap.exits import ExitCode
from internal.bootstrap.listening import listening_socket
from internal.bootstrap.process import Process
from internal.bootstrap.pulse import Pulse
from internal.bootstrap.settings import Settings, logs_json
from internal.bootstrap.web_server import serve_app
from internal.bootstrap.wiring import (
    Store,
    accounts_of,
    audience_of,
    batches_of,
    bulk_of,
    dead_letters_of,
    election_of,
    handlers_of,
    invariants_of,
    jobs_of,
    live_of,
    queues_of,
    readiness_of,
    schedules_of,
    workflows_of,
)
from internal.domain.errors import UnavailableError
from internal.domain.handlers import Handlers
from internal.domain.ids import new_id
from internal.services.audience import Audience
from internal.services.background import Background
from internal.services.rate import RequestRate
from internal.services.readiness import Readiness
from internal.services.upkeep import clock_watch
from internal.services.worker.supervision import Unsupervised

# Connections that periodic tasks use at a time: requests have the others.
API_TASKS: Final = 2

_log = logging.getLogger(__name__)


async def run(settings: Settings, process: Process) -> int:
    """Serve until it is to stop; returns the exit code."""
    handlers = handlers_of(settings)
    listener = listening_socket(settings.host, settings.port)
    dsn = settings.database_url
    database = await open_database(dsn, name="windlass api", size=settings.api_connections // 2)
    wakeups = PostgresWakeups(settings.listen_url, name="windlass api wake-ups")
    hasher = BcryptHasher()
    clock = PostgresClock(database, new_id)
    store = Store(database, database.in_turns(API_TASKS), wakeups, clock, settings)
    audience = audience_of(store)
    request_log = _request_log(settings)
    try:
        with suppress(UnavailableError):  # the partitioner tries again
            await clock.compare()
            await store.upkeep().make_partitions()
        readiness = readiness_of(store, process.stop)
        app = _app(store, handlers, hasher, audience, readiness, request_log)
        # Going through what stays until the end, again and again, took 8 % of a submission.
        gc.freeze()
        if not isinstance(process.supervision, Unsupervised):
            Pulse(process.supervision, settings.lease_ttl).begin()
        async with asyncio.TaskGroup() as group:
            background = _begin_background(group, store, handlers, audience)
            _log.info("listening", extra={"host": settings.host, "port": settings.port})
            drain_s = settings.drain.total_seconds()
            await serve_app(app, listener, process.stop, drain_s=drain_s)
            background.cancel()
    finally:
        request_log.flush()
        hasher.close()
        await database.close()
        _log.info("stopped")
    return ExitCode.OK if process.stop.is_set() else ExitCode.FAILED


def _begin_background(
    group: asyncio.TaskGroup, store: Store, handlers: Handlers, audience: Audience
) -> Background:
    """One that fails ends the process, which is then started again."""
    wakeups = store.wakeups
    background = Background(group)
    background.begin(wakeups.run(), "wake-ups")
    background.begin(election_of(store, handlers).run(wakeups), "election")
    for duty in (audience.duty, live_of(store, audience).duty(), clock_watch(store.clock)):
        background.begin(duty.run(wakeups), duty.name)
    return background


def _request_log(settings: Settings) -> JsonRequestLog | TextRequestLog:
    if logs_json(settings):
        return JsonRequestLog(frame.__name__, "api", log_lines())
    return TextRequestLog(frame.__name__)


def _app(
    store: Store,
    handlers: Handlers,
    hasher: BcryptHasher,
    audience: Audience,
    readiness: Readiness,
    request_log: frame.RequestLog,
) -> App:
    settings = store.settings
    tokens = Tokens(settings.jwt_secret, settings.access_token_ttl)
    accounts = accounts_of(store, hasher, tokens)
    jobs = jobs_of(store, handlers)
    parts = Parts(
        version=version("windlass"),
        accounts=accounts,
        jobs=jobs,
        queues=queues_of(store),
        batches=batches_of(store),
        dead_letters=dead_letters_of(store, handlers),
        bulk=bulk_of(store),
        schedules=schedules_of(store, jobs),
        invariants=invariants_of(store),
        workflows=workflows_of(store),
        tokens=tokens,
        refresh_ttl=settings.refresh_token_ttl,
        check_ready=readiness.check,
        registry=REGISTRY,
        request_log=request_log,
        fleet=PostgresFleet(store.database),
        dashboard=load_dashboard(_dashboard_folder()),
        rate=RequestRate(settings.api_rate) if settings.api_rate else None,
    )
    sockets = JobSockets(audience, tokens, accounts.tickets, accounts.sessions)
    return build_app(parts, [sockets.handler()])


def _dashboard_folder() -> Path:
    """In a wheel beside the code, in a checkout where the build puts it."""
    package = Path(internal.__file__).parent
    packed = package / "_assets" / "web"
    return packed if packed.is_dir() else package.parent / "web" / "dist"
