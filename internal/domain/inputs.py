"""The input types of handlers: what they read, and how they describe themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, EnumType
from typing import Any, Final

import msgspec

from internal.domain.attempt_log import kind_of, text_of

ANY_OBJECT: Final[Any] = dict[str, Any]
MAX_REASON_CHARS: Final = 300
MAX_MISFIT_CHARS: Final = 1_000

# The shipped handlers' types take no longer than others.
_OURS: Final = "internal."
# By these `attrs` and msgspec call a class when they have read it.
_HOOKS: Final = ("__post_init__", "__attrs_attrs__")

# What a JSON schema says of a value that may be an object, besides `type`.
_ALTERNATIVES: Final = ("anyOf", "oneOf")


class Input(msgspec.Struct, frozen=True):
    """How a payload is read: `decode` takes JSON text and raises for one that does not fit.

    `runs_code`: it may run code of the type's author, which may take any time.
    """

    type: Any
    decode: Callable[[str], Any]
    schema: dict[str, Any]
    runs_code: bool = False

    @property
    def is_any_object(self) -> bool:
        """Whether there is nothing to hold a payload against."""
        return self.type is ANY_OBJECT


def input_of(type_: Any) -> Input:
    """The input of a handler whose first parameter is annotated with this type.

    Raises:
        ValueError: when no payload can be read into it.
    """
    if type_ is Any or type_ in {ANY_OBJECT, dict}:
        return _of_msgspec(ANY_OBJECT)
    found = _of_pydantic(type_) if _is_pydantic(type_) else _of_msgspec(type_)
    if not _may_be_object(found.schema, found.schema.get("$defs", {})):
        raise ValueError(
            f"its first parameter is of type {_shown(type_)}, and payloads are JSON objects"
        )
    return found


def misfit(error: BaseException) -> str:
    """Why a payload does not fit; the error may be of an operator's own code."""
    why = text_of(error, MAX_MISFIT_CHARS)
    return why if isinstance(error, msgspec.ValidationError) else f"{kind_of(error)}: {why}"


def _of_msgspec(type_: Any) -> Input:
    try:
        decode = msgspec.json.Decoder(type_).decode
        schema = msgspec.json.schema(type_)
    except Exception as error:
        # msgspec's advice on types of one's own comes before this, in lines of its own.
        reason = " ".join(str(error).rpartition("\n\n")[2].split())
        kinds = "a msgspec.Struct, a dataclass, a TypedDict, a pydantic model or a dict"
        raise ValueError(
            f"its first parameter is of type {_shown(type_)}, which no payload can be read into:"
            f" use {kinds} ({reason[:MAX_REASON_CHARS]})"
        ) from error
    return Input(type_, decode, schema, _may_run_code(type_))


def _may_run_code(type_: Any) -> bool:
    """Whether a hook, or a default that is made, is somewhere in a type that msgspec reads."""
    seen: set[int] = set()
    left: list[Any] = [msgspec.inspect.type_info(type_)]
    while left:
        part = left.pop()
        if isinstance(part, tuple):
            left += part
        elif isinstance(part, msgspec.inspect.Type | msgspec.inspect.Field):
            if id(part) in seen:
                continue
            seen.add(id(part))
            if _has_code(part):
                return True
            left += [getattr(part, name) for name in part.__struct_fields__]
    return False


def _has_code(part: Any) -> bool:
    factory = getattr(part, "default_factory", msgspec.NODEFAULT)
    if factory is not msgspec.NODEFAULT and getattr(factory, "__module__", "") != "builtins":
        return True
    cls = getattr(part, "cls", None)
    if cls is None or cls.__module__.startswith(_OURS):
        return False
    if isinstance(cls, EnumType):
        return _missing_of(cls) is not _missing_of(Enum)
    return any(hasattr(cls, hook) for hook in _HOOKS)


def _missing_of(enum: type) -> object:
    return getattr(getattr(enum, "_missing_", None), "__func__", None)


def _is_pydantic(type_: Any) -> bool:
    """Known by its methods: pydantic need not be installed."""
    return isinstance(type_, type) and all(
        callable(getattr(type_, name, None))
        for name in ("model_validate_json", "model_json_schema")
    )


def _of_pydantic(model: Any) -> Input:
    def decode(payload: str) -> Any:
        try:
            return model.model_validate_json(payload)
        except ValueError as error:
            raise msgspec.ValidationError(_pydantic_words(error)) from error

    try:
        return Input(model, decode, model.model_json_schema(), runs_code=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:MAX_REASON_CHARS]
        raise ValueError(f"pydantic has no JSON schema of {_shown(model)}: {reason}") from error


def _pydantic_words(error: Any) -> str:
    """The first fault, in the form of msgspec's messages: pydantic's own take several lines."""
    try:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        first = faults[0]
        path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in first["loc"])
        return f"{first['msg']} - at `${path}`" if path else str(first["msg"])
    except (AttributeError, LookupError, TypeError):
        return str(error)


def _may_be_object(schema: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        return _may_be_object(known.get(schema["$ref"].rpartition("/")[2], {}), known)
    for name in _ALTERNATIVES:
        if name in schema:
            return any(_may_be_object(each, known) for each in schema[name])
    types = schema.get("type", "any" if "enum" not in schema else "enum")
    return bool({"object", "any"} & ({types} if isinstance(types, str) else set(types)))


def _shown(type_: Any) -> str:
    name = type_.__qualname__ if isinstance(type_, type) and type_.__module__ != "builtins" else ""
    return (name or repr(type_))[:MAX_REASON_CHARS]
