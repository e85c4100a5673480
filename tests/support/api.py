"""A running API: real HTTP on a free port, in the test's own loop."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from prometheus_client import CollectorRegistry

from internal.adapters.calendar.cron import CronCalendar
from internal.adapters.handlers import shipped
from internal.adapters.http import frame
from internal.adapters.http.app import Parts, build_app
from internal.adapters.http.asgi import App
from internal.adapters.http.dashboard import load_dashboard
from internal.adapters.http.deadline import ANSWERED_WITHIN_S
from internal.adapters.postgres.accounts import PostgresUsers
from internal.adapters.postgres.edges import PostgresTies
from internal.adapters.postgres.fleet import PostgresFleet
from internal.adapters.postgres.invariants import PostgresInspection
from internal.adapters.postgres.sessions import PostgresSessions
from internal.adapters.postgres.standings import PostgresStandings
from internal.adapters.postgres.throttle import PostgresLoginThrottle
from internal.adapters.postgres.tickets import PostgresTickets
from internal.adapters.security.passwords import BcryptHasher
from internal.adapters.security.tokens import Tokens
from internal.adapters.telemetry.requests import TextRequestLog
from internal.adapters.websocket.jobs import JobSockets
from internal.bootstrap.listening import listening_socket
from internal.bootstrap.web_server import serve_app
from internal.domain.handlers import Handlers
from internal.domain.ports.accounts import Tickets
from internal.services.accounts import AccountRules, Accounts
from internal.services.audience import Audience
from internal.services.batches import Batches
from internal.services.bulk import Bulk
from internal.services.dead_letters import DeadLetters
from internal.services.invariants import Invariants
from internal.services.jobs import Jobs
from internal.services.live import EVENTS_PER_S, Live
from internal.services.queues import Queues
from internal.services.rate import RequestRate
from internal.services.schedules import Schedules
from internal.services.upkeep import relay
from internal.services.workflows import Workflows
from tests.support.store import DEFAULTS, Store, open_store

SECRET: Final = "a secret of tests that is long enough for every HMAC: its 64 bytes"
PASSWORD: Final = "correct horse"
# bcrypt's fewest, so that a test does not wait for the work it asks for.
ROUNDS: Final = 4

_numbers = itertools.count(1)


class Settings(msgspec.Struct, frozen=True):
    """What tests change about an API."""

    access_ttl: timedelta = timedelta(minutes=15)
    refresh_ttl: timedelta = timedelta(days=30)
    reuse_grace: timedelta = timedelta(seconds=10)
    login_rate: int = 10
    api_rate: int = 0
    max_unfinished: int = 0
    max_queues: int = 0
    admin_email: str | None = None
    dashboard: Path | None = None
    first_message_s: float = 5.0
    ping_s: float = 20.0
    pong_s: float = 20.0
    events_per_s: float = EVENTS_PER_S
    answered_within_s: float = ANSWERED_WITHIN_S


class SignedUp(msgspec.Struct):
    """A user with their session, and a client that sends their access token."""

    email: str
    session: dict[str, Any]
    client: httpx.AsyncClient


class Api:
    """A server and clients for it."""

    def __init__(self, url: str, store: Store, tickets: Tickets) -> None:
        self.url = url
        self.store = store
        self.tickets = tickets
        self._clients: list[httpx.AsyncClient] = []
        # Each client would otherwise load the certificates again, for plain HTTP.
        self._tls = ssl.create_default_context()

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client of its own, with its own cookies."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, verify=self._tls)
        self._clients.append(client)
        return client

    async def a_user(self, email: str | None = None, password: str = PASSWORD) -> SignedUp:
        """Sign somebody up."""
        email = email or f"user{next(_numbers)}@example.com"
        answer = await self.client().post("/v1/signup", json={"email": email, "password": password})
        assert answer.status_code == 201, answer.text
        session = answer.json()["data"]
        return SignedUp(email, session, self.client(session["access_token"]))

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def running_api(database_url: str, settings: Settings | None = None) -> AsyncIterator[Api]:
    """Serve the API on this database while the context is open."""
    settings = settings or Settings()
    hasher = BcryptHasher(ROUNDS)
    try:
        limits = {
            "most_unfinished": settings.max_unfinished,
            "most_queues": settings.max_queues,
        }
        async with open_store(database_url, **limits) as store:
            parts = _parts(store, hasher, settings)
            audience = Audience(store.feed)
            app = build_app(parts, [_sockets(audience, parts, settings).handler()])
            async with (
                _background(store, audience, settings),
                _serving(app, settings.pong_s) as url,
            ):
                api = Api(url, store, parts.accounts.tickets)
                yield api
                await api.close()
    finally:
        hasher.close()


def _parts(store: Store, hasher: BcryptHasher, settings: Settings) -> Parts:
    tokens = Tokens(SECRET, settings.access_ttl)
    accounts = Accounts(
        users=PostgresUsers(store.database),
        sessions=PostgresSessions(store.database, store.wakeups),
        throttle=PostgresLoginThrottle(store.database, settings.login_rate),
        tickets=PostgresTickets(store.database),
        hasher=hasher,
        tokens=tokens,
        now=lambda: datetime.now(UTC),
        rules=AccountRules(settings.refresh_ttl, settings.reuse_grace, settings.admin_email),
    )
    jobs = Jobs(
        submissions=store.submissions,
        reads=store.reads,
        standings=PostgresStandings(store.database),
        lists=store.listing,
        statistics=store.statistics,
        commands=store.commands,
        handlers=Handlers(shipped()),
        defaults=DEFAULTS,
    )
    return Parts(
        version="0.0.0",
        accounts=accounts,
        jobs=jobs,
        queues=Queues(store.queues),
        batches=Batches(store.batches),
        dead_letters=DeadLetters(
            failed=store.failures,
            past=store.replays,
            reads=store.reads,
            commands=store.commands,
            handlers=jobs.handlers,
            max_payload_bytes=DEFAULTS.max_payload_bytes,
        ),
        bulk=Bulk(store.operations),
        schedules=Schedules(store.schedules, jobs, CronCalendar()),
        invariants=Invariants(PostgresInspection(store.database), accounts.users, accounts.now),
        workflows=Workflows(PostgresTies(store.database), store.listing),
        tokens=tokens,
        refresh_ttl=settings.refresh_ttl,
        check_ready=store.database.check,
        registry=CollectorRegistry(),
        request_log=TextRequestLog(frame.__name__),
        fleet=PostgresFleet(store.database),
        dashboard=load_dashboard(settings.dashboard),
        rate=RequestRate(settings.api_rate) if settings.api_rate else None,
        answered_within_s=settings.answered_within_s,
    )


def _sockets(audience: Audience, parts: Parts, settings: Settings) -> JobSockets:
    return JobSockets(
        audience,
        parts.tokens,
        parts.accounts.tickets,
        parts.accounts.sessions,
        first_message_s=settings.first_message_s,
        ping_s=settings.ping_s,
    )


@asynccontextmanager
async def _background(store: Store, audience: Audience, settings: Settings) -> AsyncIterator[None]:
    """What runs beside the server: wake-ups, the relay and the reader of its feed."""
    live = Live(
        store.feed, store.listing, store.batches, audience, events_per_s=settings.events_per_s
    )
    duties = (audience.duty, live.duty(), relay(store.feed))
    tasks = [
        asyncio.create_task(store.wakeups.run()),
        *(asyncio.create_task(each.run(store.wakeups)) for each in duties),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def _serving(app: App, pong_s: float) -> AsyncIterator[str]:
    listener, stop = listening_socket("127.0.0.1", 0), asyncio.Event()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    # So that the first request waits in its queue until the server reads it.
    listener.listen()
    serving = asyncio.create_task(serve_app(app, listener, stop, ping_s=pong_s))
    try:
        yield url
    finally:
        stop.set()
        await serving
