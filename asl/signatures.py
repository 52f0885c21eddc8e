"""Checking plain values against the signature of what they will be passed to."""

import inspect
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any


class Fault(typing.NamedTuple):
    """One argument that a call would not take.

    Attributes:
        name: of the argument.
        value: that was given; None where one is missing.
        kind: `unknown`, `missing` or `type`.
        reason: what the value should be; for an unknown argument the names of those that exist.
    """

    name: str
    value: Any
    kind: typing.Literal["unknown", "missing", "type"]
    reason: str


def faults(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    supplied: Collection[str] = (),
    strict: bool = False,
) -> Iterator[Fault]:
    """What is wrong with a call, by the function's signature and annotations.

    Args:
        function: or class.
        arguments: by name.
        supplied: names of arguments that the caller adds later.
        strict: whether a number as text, say, is refused where a number is expected.
    """
    parameters = inspect.signature(function).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    annotated = function.__init__ if inspect.isclass(function) else function
    hints = typing.get_type_hints(annotated, include_extras=True)
    for name, value in arguments.items():
        if name not in parameters and not open_ended:
            names = ", ".join(p for p in parameters if p not in supplied)
            yield Fault(name, value, "unknown", names)
        elif (
            name in hints
            and (strict or not isinstance(value, dict))
            and (reason := type_fault(hints[name], value, strict))
        ):
            yield Fault(name, value, "type", reason)
    for name, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        if required and name not in arguments and name not in supplied:
            yield Fault(name, None, "missing", "a value is missing")


def type_fault(hint: Any, value: object, strict: bool = False) -> str:
    """What a value should be, where it does not fit an annotation; empty where it does."""
    from pydantic import TypeAdapter, ValidationError  # here: reader processes import this file
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    try:
        TypeAdapter(hint).validate_python(value, strict=strict)
    except ValidationError as error:
        reasons = {fault["msg"].removeprefix("Input should be ") for fault in error.errors()}
        return ", or ".join(sorted(reasons))
    except (PydanticSchemaGenerationError, PydanticUserError):
        return ""  # an annotation that pydantic cannot judge, a callable or a module, say
    return ""
