"""How a route's examples are declared, and how they come into the OpenAPI document."""

from __future__ import annotations

from typing import Any

import msgspec


class OneOf(msgspec.Struct, frozen=True):
    """Several examples of the same thing, by what sets them apart."""

    by_name: dict[str, Any]


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """What a route may be sent, and what it then answers.

    Parameters are by name, answers by status. Answers are the structs that the route returns, and
    bodies what a client writes: without the fields that it leaves out.
    """

    parameters: dict[str, Any] = {}
    body: Any = None
    answers: dict[int, Any] = {}

    def add_to(self, operation: dict[str, Any]) -> None:
        """Complete the description of the route.

        Raises:
            KeyError: for a parameter, a body or a status that the route does not have.
        """
        described = {each["name"]: each for each in operation.get("parameters", ())}
        for name, value in self.parameters.items():
            described[name]["example"] = value
        if self.body is not None:
            _add(self.body, operation["requestBody"])
        for status, answer in self.answers.items():
            _add(answer, operation["responses"][str(status)])


def _add(example: Any, described: dict[str, Any]) -> None:
    for media in described["content"].values():
        if isinstance(example, OneOf):
            media["examples"] = {name: {"value": each} for name, each in example.by_name.items()}
        else:
            media["example"] = example
