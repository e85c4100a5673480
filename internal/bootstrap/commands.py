"""What each command of the console script does; heavy imports wait until they are needed."""
# ruff: noqa: PLC0415

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from internal.adapters.telemetry import configure_logging
from internal.bootstrap.errors import StartError
from internal.bootstrap.exits import ExitCode
from internal.bootstrap.output import answer, say
from internal.bootstrap.process import LAST_WRITES, Main, follow_parent, run_process
from internal.bootstrap.settings import Settings, doubts, logs_json, read_settings
from internal.domain.accounts import Role

_log = logging.getLogger(__name__)


def serve(_: argparse.Namespace) -> int:
    """`windlass serve`."""
    settings = _start("serve")
    from internal.bootstrap.serve import serve

    return serve(settings)


def api(chosen: argparse.Namespace) -> int:
    """`windlass api`."""
    from internal.bootstrap import api
    from internal.bootstrap.database import require_secret

    settings = _start("api", quietly=chosen.supervised)
    require_secret(settings)
    return _run_process(settings, api.run, chosen, apis=1)


def worker(chosen: argparse.Namespace) -> int:
    """`windlass worker`: a supervisor, and what it supervises."""
    settings = _start("worker", quietly=chosen.supervised)
    if not chosen.supervised:
        return _run_workers(settings)
    from internal.bootstrap import worker

    return _run_process(settings, worker.run, chosen)


def migrate_up(_: argparse.Namespace) -> int:
    """`windlass migrate up`."""
    settings = _start("migrate")
    from internal.bootstrap import migrations
    from internal.bootstrap.database import reachable

    with reachable(settings) as dsn:
        before = asyncio.run(migrations.migrate_up(dsn))
    if before.database == before.newest:
        answer(f"The database is at the newest revision, {before.newest}.")
    elif (before.database or "") > before.newest:
        answer(f"The database is at {before.database} of a newer Windlass: nothing was changed.")
    else:
        answer(f"The database is now at {before.newest}; it was {before.database or 'empty'}.")
    return ExitCode.OK


def migrate_down(chosen: argparse.Namespace) -> int:
    """`windlass migrate down [REVISION]`."""
    settings = _start("migrate")
    from internal.bootstrap import migrations
    from internal.bootstrap.database import reachable

    with reachable(settings) as dsn:
        plan = asyncio.run(migrations.plan_down(dsn, chosen.revision))
        _confirm(plan.lines, agreed=chosen.yes)
        now = asyncio.run(migrations.migrate_down(dsn, chosen.revision))
    answer(f"The database is now {f'at {now.database}' if now.database else 'empty'}.")
    return ExitCode.OK


def migrate_version(_: argparse.Namespace) -> int:
    """`windlass migrate version`."""
    settings = _start("migrate")
    from internal.bootstrap import migrations
    from internal.bootstrap.database import reachable

    with reachable(settings) as dsn:
        found = asyncio.run(migrations.versions(dsn))
    answer(f"database: {found.database or 'empty'}")
    answer(f"newest:   {found.newest}")
    return ExitCode.OK


def health_worker(_: argparse.Namespace) -> int:
    """`windlass health worker`."""
    from internal.bootstrap.health import fault

    settings = read_settings(os.environ)
    found = fault(settings.data_dir, settings.lease_ttl)
    say(found or "all workers live")  # its exit code is the answer
    return ExitCode.OK if found is None else ExitCode.FAILED


def admin_grant(chosen: argparse.Namespace) -> int:
    """`windlass admin grant EMAIL`."""
    _change_role(chosen.email, Role.ADMIN)
    answer(f"{chosen.email} is now an admin.")
    return ExitCode.OK


def admin_revoke(chosen: argparse.Namespace) -> int:
    """`windlass admin revoke EMAIL`."""
    _change_role(chosen.email, Role.USER)
    answer(f"{chosen.email} is no admin now.")
    return ExitCode.OK


def _change_role(email: str, role: Role) -> None:
    settings = _start("admin")
    from internal.bootstrap.admin import change_role
    from internal.bootstrap.database import reachable

    with reachable(settings) as dsn:
        asyncio.run(change_role(dsn, email, role))


def _run_workers(settings: Settings) -> int:
    from internal.bootstrap.database import located
    from internal.bootstrap.supervisor import Supervisor, workers_of

    settings = located(settings, waits=False)
    _require_usable(settings, workers=settings.worker_processes)
    asyncio.run(Supervisor(settings, settings.database_url, workers_of(settings)).run())
    return ExitCode.OK


def _run_process(
    settings: Settings, main: Main, chosen: argparse.Namespace, *, apis: int = 0
) -> NoReturn:
    from internal.bootstrap.database import located

    link = None
    if chosen.supervised:
        patience = settings.shutdown_grace + settings.drain + LAST_WRITES
        link = follow_parent(patience, chosen.watched_by)
    settings = located(settings, waits=chosen.supervised)
    if not chosen.supervised:  # else the supervisor has just seen to it
        _require_usable(settings, apis=apis)
    run_process(main, settings, link, is_alone=chosen.alone)


def _require_usable(settings: Settings, *, apis: int = 0, workers: int = 0) -> None:
    from internal.bootstrap.database import require_serving
    from internal.bootstrap.usable import require_usable

    asyncio.run(require_serving(settings, apis=apis, workers=workers))
    asyncio.run(require_usable(settings.database_url))


def _confirm(losses: Sequence[str], *, agreed: bool) -> None:
    """Say what goes and have the operator agree."""
    answer("Going back drops:" if losses else "Going back drops nothing.")
    for line in losses:
        answer(f"  {line}")
    if agreed:
        return
    if not sys.stdin.isatty():
        raise StartError("nothing was changed: 'windlass migrate down --yes' goes back")
    if input("Go back? [y/N] ").strip().lower() not in ("y", "yes"):
        raise StartError("nothing was changed")


def _start(process: str, *, quietly: bool = False) -> Settings:
    settings = read_settings(os.environ)
    configure_logging(process, as_json=logs_json(settings))
    for doubt in [] if quietly else doubts(os.environ):
        _log.warning("%s", doubt)
    return settings
