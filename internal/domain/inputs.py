"""The input types of handlers: what they read, and how they describe themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from internal.domain.attempt_log import kind_of, text_of

ANY_OBJECT: Final[Any] = dict[str, Any]
MAX_REASON_CHARS: Final = 300
MAX_MISFIT_CHARS: Final = 1_000

# What a JSON schema says of a value that may be an object, besides `type`.
_ALTERNATIVES: Final = ("anyOf", "oneOf")


class Input(msgspec.Struct, frozen=True):
    """How a payload is read: `decode` takes JSON text and raises for one that does not fit."""

    type: Any
    decode: Callable[[str], Any]
    schema: dict[str, Any]

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
    return Input(type_, decode, schema)


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
        return Input(model, decode, model.model_json_schema())
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
