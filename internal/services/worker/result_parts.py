"""What a handler's result holds, and how large its JSON is at least."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache
from itertools import chain
from types import NoneType
from typing import Any, Final

import msgspec

from internal.domain.attempt_log import text_of

# Room for 64 KiB of a fetched body even where each of its bytes becomes an escape of six.
MAX_RESULT_BYTES: Final = 1024 * 1024
# More than is kept, so that the error tells the size of a result that is a little too large.
MOST_COUNTED: Final = 2 * MAX_RESULT_BYTES
MAX_STEP_CHARS: Final = 100

_SMALL: Final = frozenset({NoneType, bool, float})
_NUMBERS: Final = _SMALL | {int}
_FLAT: Final = _NUMBERS | {str}
# With fewer values that hold nothing, the JSON is not much larger than what is in memory.
FEW: Final = 32
_SEQUENCES: Final[tuple[type[Any], ...]] = (list, tuple, set, frozenset)


def least_size(value: Any) -> int:
    """How many bytes of JSON it makes at least; counting ends above `MOST_COUNTED`.

    A list may hold another one many times, and that a third one: a few of them in memory are
    gigabytes in JSON, so that size is to be known before it is written.

    Raises:
        msgspec.DecodeError: for a `msgspec.Raw` within that is no JSON.
    """
    if type(value) is dict and len(value) < FEW and _FLAT.issuperset(map(type, value.values())):
        return 1  # most results are such: less than half a microsecond
    size, left = 1, [value]
    while left:
        each = left.pop()
        kind = type(each)
        parts: Iterable[Any]
        if kind in _SMALL:
            continue
        if kind is str:
            more, parts = len(each) + 1, ()
        elif kind is int:
            more, parts = each.bit_length() >> 3, ()  # fewer than it has digits
        elif kind is dict:
            more, parts = 4 * len(each), chain(each, each.values())
        elif kind is list or kind is tuple:
            more, parts = 2 * len(each), each
        else:
            more, parts = _within(each)
        size += more
        if size > MOST_COUNTED:
            break
        left.extend(parts)
    return size


def _within(value: Any) -> tuple[int, Iterable[Any]]:
    """How many bytes a rarer value adds besides its parts, and these."""
    kind = type(value)
    if issubclass(kind, dict):
        return 4 * dict.__len__(value), chain(dict.keys(value), dict.values(value))
    for base in _SEQUENCES:
        if issubclass(kind, base):
            return 2 * base.__len__(value), base.__iter__(value)
    if issubclass(kind, bytes | bytearray | memoryview | msgspec.Raw):
        size = memoryview(value).nbytes
        if issubclass(kind, msgspec.Raw) and size <= MAX_RESULT_BYTES:
            msgspec.json.decode(value)
        return size, ()
    if issubclass(kind, msgspec.Struct):
        return _of_struct(value)
    if names := _field_names(value.__class__):
        return 5 * len(names), [getattr(value, name, None) for name in names]
    return (0, (value.value,)) if issubclass(kind, Enum) else (0, ())


def _of_struct(value: msgspec.Struct) -> tuple[int, Iterable[Any]]:
    config = value.__struct_config__
    parts = msgspec.structs.astuple(value)
    if config.array_like:
        return 2 * len(parts), parts
    # Those that have their default may be left out.
    written = [
        part
        for part in parts
        if part is not msgspec.UNSET and not (config.omit_defaults and type(part) in _NUMBERS)
    ]
    return 5 * len(written), written


@lru_cache
def _field_names(kind: Any) -> Sequence[str]:
    """Those that are written of a dataclass or an attrs class; empty for any other."""
    if dataclasses.is_dataclass(kind):
        return [each.name for each in dataclasses.fields(kind)]
    known = getattr(kind, "__attrs_attrs__", ())
    return [each.name for each in known if not each.name.startswith("_")]


def parts_of(value: Any) -> Iterable[tuple[str, Any]] | None:
    """What a value holds, each with its step of a path; None for what holds nothing."""
    match value:
        case dict():
            return ((f".{text_of(key, MAX_STEP_CHARS)}", each) for key, each in dict.items(value))
        case list() | tuple() | set() | frozenset():
            return ((f"[{index}]", each) for index, each in enumerate(value))
        case Enum():
            return (("", value.value),)
        case msgspec.Struct():
            return ((f".{name}", getattr(value, name)) for name in value.__struct_fields__)
        case _:
            names = _field_names(value.__class__)
            return ((f".{each}", getattr(value, each, None)) for each in names) if names else None
