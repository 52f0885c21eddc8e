"""A search space as data: which keys vary, over which values, under which conditions.

A parameter is a key of the config. `choices` lists its values; `low` and `high` span a range: of
integers where both and `step` are integers, sampled on a logarithmic scale where `log` is true.
`when` makes it conditional on other parameters: with `when: {model: transformer}` only trials with
a transformer have it.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import optuna
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from asl.errors import UserError, unknown

Value = str | int | float | bool | None
Values = dict[str, Any]  # of a trial, by key; only the parameters whose conditions hold

KEYS = ("choices", "low", "high", "log", "step", "when")
_SYNTAX = "say {choices: […]} or {low: …, high: …}"
_DECADES = 3  # a linear range over so many draws nine in ten values from the last one


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("should be a number")
    if not math.isfinite(value):
        raise ValueError("should be finite")
    return value


def _choices(value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("should be a list of at least one value")
    if len({json.dumps(choice) for choice in value}) < len(value):
        raise ValueError("a value is there twice")
    return tuple(value)


def _conditions(value: object) -> dict[str, tuple[Any, ...]]:
    if not isinstance(value or {}, Mapping):
        raise ValueError("say {KEY: VALUE} or {KEY: [VALUES]}")
    return {
        key: tuple(allowed) if isinstance(allowed, list | tuple) else (allowed,)
        for key, allowed in dict(value or {}).items()  # type: ignore[call-overload]
    }


Number = Annotated[int | float, BeforeValidator(_number)]


class _Parameter(BaseModel):
    """One key that varies.

    Attributes:
        key: of the config, `optimizer.lr` or a group such as `model`.
        when: by key of another parameter, the values under which this one exists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    key: str
    when: Annotated[dict[str, tuple[Any, ...]], BeforeValidator(_conditions)] = {}

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether this parameter exists beside these values of the parameters before it."""
        return all(key in values and values[key] in allowed for key, allowed in self.when.items())

    def as_json(self) -> dict[str, Any]:
        """The parameter as it is described in `sweep.space`."""
        plain = self.model_dump(exclude={"key", "when"})
        return plain | ({"when": dict(self.when)} if self.when else {})


class Choice(_Parameter):
    """A parameter with a list of values."""

    choices: Annotated[tuple[Any, ...], BeforeValidator(_choices)]

    def extremes(self) -> tuple[Any, ...]:
        """Every choice."""
        return self.choices

    grid = extremes

    def draw(self, trial: optuna.Trial) -> Any:
        """A value by the study's sampler."""
        by_name = {storable(choice): choice for choice in self.choices}
        return by_name[trial.suggest_categorical(self.key, list(by_name))]


class Range(_Parameter):
    """A parameter with a range of numbers; `step` is the distance between values, if any."""

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    def extremes(self) -> tuple[Any, ...]:
        """Both ends of the range."""
        return self.low, self.high

    def grid(self) -> tuple[Any, ...]:
        """Every value; raises UserError where there are infinitely many."""
        if self.log or (self.step is None and not self.is_integer):
            raise UserError(
                f"sweep.sampler=grid: {_where(self.key)} has a continuous range; "
                "give it choices, or a step"
            )
        step = self.step or 1
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        values = (self.low + number * step for number in range(count))
        return tuple(values if self.is_integer else (float(f"{value:.12g}") for value in values))

    def draw(self, trial: optuna.Trial) -> float:
        """A value by the study's sampler."""
        if self.is_integer:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(self.key, low, high, step=step, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)

    @model_validator(mode="after")
    def _check_range(self) -> "Range":
        span, at = f"range from {self.low} to {self.high}", f".step={self.step}:"
        if self.low >= self.high:
            what = "empty" if self.low == self.high else "reversed"
            raise ValueError(f": the {span} is {what}; low should be less than high")
        if self.log and self.low <= 0:
            raise ValueError(f".low={self.low}: should be greater than 0 with log: true")
        if self.step is None:
            return self
        if self.log:
            raise ValueError(f"{at} there is no step with log: true")
        if self.step <= 0:
            raise ValueError(f"{at} should be greater than 0")
        if self.step > self.high - self.low:
            raise ValueError(f"{at} is longer than the {span}")
        if isinstance(self.low, int) and isinstance(self.high, int) and not self.is_integer:
            raise ValueError(
                f"{at} should be a whole number as low and high are; "
                f"write low: {float(self.low)} for one that is not"
            )
        return self


Parameter = Choice | Range


@dataclass(frozen=True)
class Space:
    """Parameters, in an order in which every condition is on earlier ones."""

    parameters: tuple[Parameter, ...]

    def draw(self, trial: optuna.Trial) -> Values:
        """A trial's values, by the study's sampler."""
        values: Values = {}
        for parameter in self.parameters:
            if parameter.holds(values):
                values[parameter.key] = parameter.draw(trial)
        return values

    def grid(self) -> list[Values]:
        """Every point; raises UserError where there are infinitely many."""
        points: list[Values] = [{}]
        for parameter in self.parameters:
            points = [
                {**point, **added}
                for point in points
                for added in (
                    [{parameter.key: value} for value in parameter.grid()]
                    if parameter.holds(point)
                    else [{}]
                )
            ]
        return points

    def samples(self) -> list[Values]:
        """A few points that contain every choice, and both ends of every range, at least once."""
        conditions = {key for parameter in self.parameters for key in parameter.when}
        deciding = [parameter for parameter in self.parameters if parameter.key in conditions]
        combinations = [
            dict(zip((parameter.key for parameter in deciding), values, strict=True))
            for values in itertools.product(*(parameter.extremes() for parameter in deciding))
        ]
        points: list[Values] = []
        seen: set[tuple[str, Value]] = set()
        added = True
        while added:
            added = False
            for combination in combinations:
                values: Values = {}
                for parameter in self.parameters:
                    if parameter.holds(values):
                        ends = parameter.extremes()
                        new = (end for end in ends if (parameter.key, storable(end)) not in seen)
                        values[parameter.key] = combination.get(parameter.key, next(new, ends[0]))
                pairs = {(key, storable(value)) for key, value in values.items()}
                if not pairs <= seen:
                    added = True
                    seen |= pairs
                    points.append(values)
        return points

    def pinned(self, values: Values) -> "Space":
        """The space with one value for some keys, without what its conditions then exclude."""
        choices: dict[str, tuple[Any, ...]] = {}  # of the parameters that are left
        left: list[Parameter] = []
        for parameter in self.parameters:
            when = {
                key: tuple(value for value in allowed if value in choices.get(key, ()))
                for key, allowed in parameter.when.items()
            }
            if not all(when.values()):
                continue
            if (key := parameter.key) in values:
                parameter = Choice(key=key, choices=(values[key],))
            parameter = parameter.model_copy(update={"when": when})
            if isinstance(parameter, Choice):
                choices[key] = parameter.choices
            left.append(parameter)
        return Space(tuple(left))

    def as_json(self) -> dict[str, dict[str, Any]]:
        """The space as plain values by key, of which `parse` makes the same space."""
        return {parameter.key: parameter.as_json() for parameter in self.parameters}


def storable(value: Any) -> Value:
    """A choice as Optuna stores it: a list or a mapping becomes its JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def parse(described: Mapping[str, Any]) -> Space:
    """The space that `sweep.space` describes.

    Raises:
        UserError: with every fault, a line each.
    """
    if not described:
        raise UserError(
            "sweep.space: is empty; say what may vary, {optimizer.lr: {low: …, high: …}}"
        )
    faults: list[str] = []
    parameters: list[Parameter] = []
    for key, node in described.items():
        try:
            parameters.append(_parameter(key, node))
        except UserError as error:
            faults.append(str(error))
    for parameter in parameters:
        faults += _condition_faults(parameter, parameters, described)
    if faults:
        raise UserError("\n".join(faults))
    return Space(tuple(_sorted_by_condition(parameters)))


def warnings(space: Space) -> list[str]:
    """Ranges that are allowed but seldom meant, a sentence each."""
    return [
        f"{_where(parameter.key)}: a linear range from {parameter.low:g} to {parameter.high:g} "
        "draws nearly all values from its upper end; log: true draws evenly over the magnitudes"
        for parameter in space.parameters
        if isinstance(parameter, Range)
        and not parameter.log
        and parameter.low > 0
        and math.log10(parameter.high / parameter.low) >= _DECADES - 1e-9
    ]


def _where(key: str) -> str:
    return f"sweep.space.{key}"


def _parameter(key: str, node: Any) -> Parameter:
    where = _where(key)
    if not isinstance(node, Mapping):
        raise UserError(f"{where}={node}: {_SYNTAX}")
    if strange := [name for name in node if name not in KEYS]:
        raise unknown(where, strange[0], KEYS)
    try:
        return (Choice if "choices" in node else Range)(key=key, **node)
    except ValidationError as error:
        raise UserError("\n".join(_sentences(where, error))) from None


def _sentences(where: str, error: ValidationError) -> Iterator[str]:
    """What pydantic found wrong with a parameter, each fault one sentence with key and value."""
    if any(fault["type"] == "missing" for fault in error.errors()):
        yield f"{where}: {_SYNTAX}"
        return
    for fault in error.errors():
        reason = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if fault["type"] == "extra_forbidden":
            yield f"{where}: has choices, and so no {fault['loc'][0]}"
        elif fault["loc"]:
            yield f"{where}.{fault['loc'][0]}={fault['input']}: {reason}"
        else:
            yield f"{where}{reason}"


def _condition_faults(
    parameter: Parameter, parameters: Sequence[Parameter], described: Mapping[str, Any]
) -> Iterator[str]:
    by_key = {other.key: other for other in parameters}
    for key, allowed in parameter.when.items():
        where = f"{_where(parameter.key)}.when"
        other = by_key.get(key)
        if key not in described or key == parameter.key:
            others = [name for name in described if name != parameter.key]
            yield str(unknown(where, key, others))
        elif isinstance(other, Range):
            yield f"{where}: {key} has a range; a condition is on a key with choices"
        elif other is not None:
            for value in allowed:
                if value not in other.choices:
                    yield str(unknown(f"{where}.{key}", value, other.choices))


def _sorted_by_condition(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Those that others depend on first; raises UserError where they depend in a circle."""
    ordered: list[Parameter] = []
    left = list(parameters)
    while left:
        placed = {parameter.key for parameter in ordered}
        ready = [parameter for parameter in left if set(parameter.when) <= placed]
        if not ready:
            keys = ", ".join(parameter.key for parameter in left)
            raise UserError(f"sweep.space: {keys} depend on each other in a circle")
        ordered += ready
        left = [parameter for parameter in left if parameter not in ready]
    return ordered
