"""Finding the operator's handlers in the modules that WINDLASS_HANDLERS names."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from itertools import chain
from types import ModuleType

from internal.domain.handlers import Handler, Handlers


def load_handlers(modules: Iterable[str], shipped: Iterable[Handler]) -> Handlers:
    """The shipped handlers and every `Handler` that the modules have at their top level.

    Raises:
        ValueError: in one line, when a module cannot be imported or has no handler, or when two
            handlers want the same type.
    """
    own = chain.from_iterable(map(_handlers_of, modules))
    return Handlers(chain(shipped, own))


def _handlers_of(name: str) -> list[Handler]:
    found = [each for each in vars(_import(name)).values() if isinstance(each, Handler)]
    if not found:
        raise ValueError(f"the module {name} has no handler: declare one with @windlass.handler")
    return found


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        hint = "; is its folder on PYTHONPATH?" if isinstance(error, ModuleNotFoundError) else ""
        why = " ".join(f"{type(error).__name__}: {error}{hint}".split())
        raise ValueError(f"the module {name} cannot be imported: {why}") from error
