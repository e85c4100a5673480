"""Finding the operator's handlers in the modules that WINDLASS_HANDLERS names."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from itertools import chain
from types import ModuleType
from typing import Final

from internal.domain.attempt_log import kind_of, text_of
from internal.domain.declaring import DeclarationError, declarations
from internal.domain.handlers import Handler, Handlers

MAX_REASON_CHARS: Final = 1_000


def load_handlers(modules: Iterable[str], shipped: Iterable[Handler]) -> Handlers:
    """The shipped handlers and every `Handler` that the modules have at their top level.

    Raises:
        ValueError: in one line, when a module cannot be imported or has no handler, or when two
            handlers want the same type.
    """
    own = chain.from_iterable(map(_handlers_of, modules))
    return Handlers(chain(shipped, own))


def _handlers_of(name: str) -> list[Handler]:
    with declarations() as declared:
        module = _import(name)
    # Some may be bound to no name, as after a bare call of what `handler` gives.
    found = [each for each in vars(module).values() if isinstance(each, Handler)]
    found += (each for each in declared if each.module == module.__name__)
    if found:
        return found
    raise ValueError(
        f"the module {name} has no handler: declare one with @windlass.handler at its top level"
    )


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except DeclarationError as error:
        raise ValueError(f"the module {name}: {_line(error)}") from error
    except (Exception, SystemExit) as error:
        hint = "; is its folder on PYTHONPATH?" if isinstance(error, ModuleNotFoundError) else ""
        why = f"{kind_of(error)}: {_line(error)}{hint}"
        raise ValueError(f"the module {name} cannot be imported: {why}") from error


def _line(error: BaseException) -> str:
    return " ".join(text_of(error, MAX_REASON_CHARS).split())
