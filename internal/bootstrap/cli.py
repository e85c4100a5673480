"""The console script `windlass`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NoReturn

from internal.adapters.embedded import EmbeddedError
from internal.adapters.telemetry import configure_logging
from internal.bootstrap import commands
from internal.bootstrap.errors import StartError
from internal.bootstrap.exits import ExitCode
from internal.bootstrap.output import complain
from internal.bootstrap.settings import wants_json

_SETTINGS_HINT = (
    "Settings are environment variables, such as PORT, DATABASE_URL and WINDLASS_DATA_DIR; "
    "the README lists them all."
)

_log = logging.getLogger("windlass")  # this module is `__main__` at times


def main() -> NoReturn:
    """Run the command of the command line and exit."""
    _open_standard_streams()
    sys.exit(run(sys.argv[1:]))


def _open_standard_streams() -> None:
    """Where a shell has closed one of them, the next file or socket would take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(number, True)  # noqa: FBT003 - as it is called
    # None where it was closed, which much code does not expect.
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def run(arguments: Sequence[str]) -> int:
    """The exit code of a command; what the operator can put right is told in one line."""
    chosen = _parser().parse_args(arguments)
    threading.excepthook = _log_thread
    try:
        code: int = chosen.run(chosen)
    except (StartError, EmbeddedError) as error:
        _refuse(error)
        return ExitCode.UNUSABLE
    except (KeyboardInterrupt, SystemExit):
        return ExitCode.FAILED
    except BaseException:  # noqa: BLE001 - whatever it is, it is logged as all else
        _ensure_logging()
        _log.critical("this process ends by an error of ours", exc_info=True)
        return ExitCode.FAILED
    return code


def _refuse(error: Exception) -> None:
    if not wants_json(os.environ):
        complain(f"windlass: {error}")
        return
    _ensure_logging()
    _log.error("%s", error)


def _log_thread(failed: threading.ExceptHookArgs) -> None:
    _ensure_logging()
    name = failed.thread.name if failed.thread else "gone"
    error = failed.exc_value or failed.exc_type()
    _log.error("the thread %s ended by an error", name, exc_info=error)


def _ensure_logging() -> None:
    """A command sets up its log when it has read its settings."""
    if not logging.getLogger().handlers:
        configure_logging("windlass", as_json=wants_json(os.environ))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="windlass", description="A hosted multi-user job queue.", epilog=_SETTINGS_HINT
    )
    parser.add_argument("--version", action="version", version=f"windlass {version('windlass')}")
    add = parser.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser
    _describe(
        add("serve", help="run everything: API, dashboard, workers, and PostgreSQL"),
        "Runs the API with the dashboard, WINDLASS_WORKER_PROCESSES workers, and, unless "
        "DATABASE_URL is set, an embedded PostgreSQL in WINDLASS_DATA_DIR. Migrates the database "
        "first. Ctrl-C or SIGTERM stops all of it.",
        commands.serve,
    )
    for name, does, more in (
        ("api", "the API with the dashboard", ""),
        ("worker", "WINDLASS_WORKER_PROCESSES workers", " One that ends is started again."),
    ):
        command = add(name, help=f"run {does}")
        _describe(
            command,
            f"Runs {does} against DATABASE_URL, or against the PostgreSQL of a 'windlass serve' "
            f"with the same WINDLASS_DATA_DIR. The database must have been migrated.{more}",
            getattr(commands, name),
        )
        command.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
        command.add_argument("--watched-by", help=argparse.SUPPRESS)
        command.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    _add_migrate(add("migrate", help="change or show the version of the database's tables"))
    _add_health(add("health", help="ask whether the workers of this machine live"))
    _add_admin(add("admin", help="make a user an admin, or no longer"))
    return parser


def _add_migrate(parser: argparse.ArgumentParser) -> None:
    parser.description = "Works on DATABASE_URL, or on the embedded PostgreSQL."
    add = parser.add_subparsers(required=True, metavar="ACTION").add_parser
    up = add("up", help="bring the tables to the newest revision")
    _describe(up, "Safe to repeat, and to run in several places at once.", commands.migrate_up)
    down = add("down", help="go back one revision, or to a given one; can lose data")
    _describe(
        down,
        "Refused while Windlass runs. Says which tables it drops, whose rows are lost, and asks.",
        commands.migrate_down,
    )
    down.add_argument("--yes", action="store_true", help="go back without asking")
    down.add_argument(
        "revision",
        nargs="?",
        default="-1",
        help="where to; 'base' drops everything (default: -1)",
    )
    show = add("version", help="print the database's revision and the newest")
    _describe(show, "They are the same after 'windlass migrate up'.", commands.migrate_version)


def _add_health(parser: argparse.ArgumentParser) -> None:
    parser.description = "For what restarts containers; the API answers on /health and /ready."
    add = parser.add_subparsers(required=True, metavar="WHAT").add_parser
    worker = add("worker", help="exit with 0 if each worker process lives, else with 1")
    _describe(
        worker,
        "Asks the supervisors that run with the same WINDLASS_DATA_DIR, in 'windlass worker' or "
        "'windlass serve'. A worker is silent after half of WINDLASS_LEASE_TTL without a sign.",
        commands.health_worker,
    )


def _add_admin(parser: argparse.ArgumentParser) -> None:
    parser.description = "Works on DATABASE_URL, or on the embedded PostgreSQL."
    add = parser.add_subparsers(required=True, metavar="ACTION").add_parser
    for name, does, run in (
        ("grant", "make a user an admin", commands.admin_grant),
        ("revoke", "make an admin a user again", commands.admin_revoke),
    ):
        command = add(name, help=does)
        _describe(command, "The user has signed up before.", run)
        command.add_argument("email", metavar="EMAIL", help="the email they signed up with")


def _describe(
    parser: argparse.ArgumentParser, description: str, command: Callable[[argparse.Namespace], int]
) -> None:
    parser.description = description
    parser.epilog = _SETTINGS_HINT
    parser.set_defaults(run=command)


if __name__ == "__main__":
    main()
