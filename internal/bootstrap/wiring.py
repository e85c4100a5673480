"""Puts the parts together by hand, typed as ports: the type checker proves that adapters fit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from internal.adapters.calendar.cron import CronCalendar
from internal.adapters.handlers import shipped
from internal.adapters.handlers.loading import load_handlers
from internal.adapters.postgres.accounts import PostgresUsers
from internal.adapters.postgres.batches import PostgresBatches, PostgresBatchUpkeep
from internal.adapters.postgres.beats import PostgresBeats
from internal.adapters.postgres.clock import PostgresClock
from internal.adapters.postgres.commands import PostgresCommands
from internal.adapters.postgres.database import Database
from internal.adapters.postgres.due_schedules import PostgresDueSchedules
from internal.adapters.postgres.edges import PostgresTies
from internal.adapters.postgres.failures import PostgresFailures
from internal.adapters.postgres.feed import PostgresFeed
from internal.adapters.postgres.invariants import PostgresInspection
from internal.adapters.postgres.leadership import PostgresLeadership
from internal.adapters.postgres.listing import PostgresListing
from internal.adapters.postgres.operation_steps import PostgresOperationSteps
from internal.adapters.postgres.operations import PostgresOperations
from internal.adapters.postgres.queues import PostgresQueues
from internal.adapters.postgres.reads import PostgresReads
from internal.adapters.postgres.replays import PostgresReplays
from internal.adapters.postgres.revision import SchemaCheck
from internal.adapters.postgres.schedules import PostgresSchedules
from internal.adapters.postgres.sessions import PostgresSessions
from internal.adapters.postgres.standings import PostgresStandings
from internal.adapters.postgres.statistics import PostgresStatistics
from internal.adapters.postgres.submissions import PostgresSubmissions
from internal.adapters.postgres.sweeps import all_sweeps
from internal.adapters.postgres.throttle import PostgresLoginThrottle
from internal.adapters.postgres.tickets import PostgresTickets
from internal.adapters.postgres.upkeep import PostgresUpkeep
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.adapters.postgres.work import PostgresWork
from internal.bootstrap.errors import StartError
from internal.bootstrap.process import Process
from internal.bootstrap.revisions import this_release
from internal.bootstrap.settings import Settings
from internal.domain.durations import milliseconds
from internal.domain.handlers import Handlers
from internal.domain.ports.accounts import PasswordHasher, TokenIssuer
from internal.domain.ports.sweeps import Sweep
from internal.domain.submission import JobDefaults, default_backoff
from internal.services import upkeep
from internal.services.accounts import AccountRules, Accounts
from internal.services.audience import Audience
from internal.services.batches import Batches
from internal.services.bulk import Bulk, operator
from internal.services.dead_letters import DeadLetters
from internal.services.duty import Duty
from internal.services.election import Election
from internal.services.invariants import Invariants
from internal.services.jobs import Jobs
from internal.services.live import Live
from internal.services.queues import Queues
from internal.services.readiness import Readiness
from internal.services.scheduler import Scheduler
from internal.services.schedules import Schedules
from internal.services.worker.heartbeat import Watched
from internal.services.worker.worker import Worker, WorkerSettings
from internal.services.workflows import Workflows


class Store(msgspec.Struct, frozen=True):
    """The database with the wake-ups of one process.

    `background` is the same database for periodic tasks, which leave some connections to others.
    """

    database: Database
    background: Database
    wakeups: PostgresWakeups
    clock: PostgresClock
    settings: Settings

    def upkeep(self) -> PostgresUpkeep:
        """The duties' statements."""
        return PostgresUpkeep(
            self.background,
            self.wakeups,
            aging=self.settings.aging,
        )

    def sweeps(self) -> Sequence[Sweep]:
        """What removes rows that are of no use any more."""
        settings = self.settings
        return all_sweeps(
            self.background,
            retention=settings.retention,
            retention_failed=settings.retention_failed,
        )


def handlers_of(settings: Settings) -> Handlers:
    """The shipped handlers and the operator's.

    Raises:
        StartError: naming the module that cannot be used, and why.
    """
    try:
        return load_handlers(settings.handlers, shipped(settings.http_job_allow))
    except ValueError as error:
        raise StartError(f"WINDLASS_HANDLERS: {error}") from error


def readiness_of(store: Store, stop: asyncio.Event) -> Readiness:
    """Whether an API process that ends when `stop` is set can serve requests."""
    schema = SchemaCheck(store.database, this_release().refusal)
    return Readiness((store.database.check, schema, store.clock.compare), stop.is_set)


def job_defaults(settings: Settings) -> JobDefaults:
    """What a submission may leave out."""
    return JobDefaults(
        max_attempts=settings.max_attempts,
        backoff=default_backoff(
            settings.retry_strategy, settings.retry_base_delay, settings.retry_max_delay
        ),
        timeout_ms=milliseconds(settings.job_timeout),
        max_payload_bytes=settings.max_payload_bytes,
    )


def accounts_of(store: Store, hasher: PasswordHasher, tokens: TokenIssuer) -> Accounts:
    """The use cases around accounts."""
    settings = store.settings
    return Accounts(
        users=PostgresUsers(store.database),
        sessions=PostgresSessions(store.database, store.wakeups),
        throttle=PostgresLoginThrottle(store.database, settings.login_rate),
        tickets=PostgresTickets(store.database),
        hasher=hasher,
        tokens=tokens,
        now=partial(datetime.now, UTC),
        rules=AccountRules(
            settings.refresh_token_ttl,
            settings.refresh_reuse_grace,
            settings.admin_email or None,
        ),
    )


def jobs_of(store: Store, handlers: Handlers) -> Jobs:
    """The use cases around jobs."""
    database, settings = store.database, store.settings
    return Jobs(
        submissions=PostgresSubmissions(
            database,
            store.wakeups,
            settings.aging,
            store.clock,
            most_unfinished=settings.max_waiting_per_user,
            most_queues=settings.max_queues_per_user,
        ),
        reads=PostgresReads(database),
        standings=PostgresStandings(database),
        lists=PostgresListing(database),
        statistics=PostgresStatistics(database),
        commands=PostgresCommands(database, store.wakeups, settings.aging),
        handlers=handlers,
        defaults=job_defaults(settings),
    )


def queues_of(store: Store) -> Queues:
    """The use cases around queues."""
    most = store.settings.max_queues_per_user
    return Queues(PostgresQueues(store.database, store.wakeups, most=most))


def batches_of(store: Store) -> Batches:
    """The use cases around batches."""
    return Batches(PostgresBatches(store.database))


def dead_letters_of(store: Store, handlers: Handlers) -> DeadLetters:
    """The use cases around failed jobs."""
    database, settings = store.database, store.settings
    return DeadLetters(
        failed=PostgresFailures(database),
        past=PostgresReplays(database),
        reads=PostgresReads(database),
        commands=PostgresCommands(database, store.wakeups, settings.aging),
        handlers=handlers,
        max_payload_bytes=settings.max_payload_bytes,
    )


def bulk_of(store: Store) -> Bulk:
    """The use cases around bulk operations."""
    return Bulk(PostgresOperations(store.database, store.wakeups))


def schedules_of(store: Store, jobs: Jobs) -> Schedules:
    """The use cases around schedules."""
    return Schedules(PostgresSchedules(store.database, store.wakeups), jobs, CronCalendar())


def scheduler_of(store: Store, handlers: Handlers) -> Scheduler:
    """What runs the schedules that are due."""
    settings = store.settings
    due = PostgresDueSchedules(
        store.background,
        store.wakeups,
        settings.aging,
        most_unfinished=settings.max_waiting_per_user,
        most_queues=settings.max_queues_per_user,
    )
    return Scheduler(due, CronCalendar(), handlers, job_defaults(store.settings))


def invariants_of(store: Store) -> Invariants:
    """The report of what always holds."""
    database = store.database
    now = partial(datetime.now, UTC)
    return Invariants(PostgresInspection(database), PostgresUsers(database), now)


def workflows_of(store: Store) -> Workflows:
    """Looking at what depends on what."""
    return Workflows(PostgresTies(store.database), PostgresListing(store.database))


def audience_of(store: Store) -> Audience:
    """The live connections of this process."""
    return Audience(PostgresFeed(store.database, store.wakeups))


def live_of(store: Store, audience: Audience) -> Live:
    """The live events of this process."""
    feed = PostgresFeed(store.database, store.wakeups)
    database = store.database
    return Live(feed, PostgresListing(database), PostgresBatches(database), audience)


def worker_of(store: Store, handlers: Handlers, process: Process) -> Worker:
    """A worker process."""
    settings, work = (
        store.settings,
        PostgresWork(store.database, store.wakeups, store.settings.aging),
    )
    open_beats = partial(PostgresBeats, settings.database_url)
    return Worker(
        claims=work,
        finishes=work,
        workers=work,
        wakeups=store.wakeups,
        handlers=handlers,
        settings=WorkerSettings(
            slots=settings.worker_concurrency,
            reserve=settings.worker_reserve,
            lease_ttl=settings.lease_ttl,
            shutdown_grace=settings.shutdown_grace,
            is_alone=process.is_alone,
        ),
        watched=Watched(open_beats, process.supervision, process.new_loop),
    )


def election_of(store: Store, handlers: Handlers, *, wait: timedelta = timedelta(0)) -> Election:
    """What one process does for the whole installation; `wait` as `Election` has it."""
    duties = (*_upkeep(store), scheduler_of(store, handlers).duty())
    return Election(PostgresLeadership(store.database, store.wakeups), duties, wait=wait)


def _upkeep(store: Store) -> Sequence[Duty]:
    statements = store.upkeep()
    return (
        upkeep.stager(statements),
        upkeep.gatekeeper(statements),
        upkeep.expirer(statements),
        upkeep.lifeline(statements),
        upkeep.releaser(statements),
        upkeep.folder(statements),
        upkeep.tender(statements),
        upkeep.batches(PostgresBatchUpkeep(store.background, store.wakeups)),
        upkeep.partitioner(statements),
        *upkeep.sweepers(store.sweeps()),
        operator(PostgresOperationSteps(store.background, store.wakeups, store.settings.aging)),
        upkeep.relay(PostgresFeed(store.background, store.wakeups)),
    )
