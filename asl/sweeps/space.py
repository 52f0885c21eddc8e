"""A search space as data: what may vary, from where to where, and under which condition.

A parameter is a key of the config. `choices` list its values; `low` and `high` span a range, of
whole numbers where both and `step` are whole, and even on a logarithmic scale where `log` is true.
`when` makes it depend on others: with `when: {model: transformer}` it is there for transformers
alone.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna

from asl.errors import UserError, unknown

Value = str | int | float | bool | None
Values = dict[str, Any]  # of a trial: by key, only those that are there under their conditions

KEYS = ("choices", "low", "high", "log", "step", "when")
DECADES = 3  # a linear range over so many draws nine in ten values from the last one


@dataclass(frozen=True)
class Parameter:
    """One key that varies.

    Attributes:
        key: of the config, `optimizer.lr` or a group such as `model`.
        choices: its values, or none where it has a range.
        low: the range's least value.
        high: its largest.
        log: whether values are drawn evenly on a logarithmic scale.
        step: distance between values, or None.
        when: by key of another parameter, the values under which this one is there.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether a range is of whole numbers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether this parameter is there beside the values of those before it."""
        return all(key in values and values[key] in allowed for key, allowed in self.when.items())

    def extremes(self) -> tuple[Any, ...]:
        """All choices, or both ends of the range."""
        return self.choices or (self.low, self.high)

    def grid(self) -> tuple[Any, ...]:
        """All values; raises UserError where there are infinitely many."""
        if self.choices:
            return self.choices
        if self.log or (self.step is None and not self.whole):
            raise UserError(
                f"sweep.sampler=grid: {_where(self.key)} has a continuous range; "
                "give it choices, or a step"
            )
        step = self.step or 1
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        values = (self.low + number * step for number in range(count))
        return tuple(values if self.whole else (float(f"{value:.12g}") for value in values))


@dataclass(frozen=True)
class Space:
    """Parameters, those before others on which they depend."""

    parameters: tuple[Parameter, ...]

    def draw(self, trial: optuna.Trial) -> Values:
        """A trial's values, by the study's sampler."""
        values: Values = {}
        for parameter in self.parameters:
            if not parameter.holds(values):
                continue
            if parameter.choices:
                named = {storable(choice): choice for choice in parameter.choices}
                values[parameter.key] = named[trial.suggest_categorical(parameter.key, list(named))]
            elif parameter.whole:
                values[parameter.key] = trial.suggest_int(
                    parameter.key,
                    int(parameter.low),
                    int(parameter.high),
                    step=int(parameter.step or 1),
                    log=parameter.log,
                )
            else:
                values[parameter.key] = trial.suggest_float(
                    parameter.key,
                    parameter.low,
                    parameter.high,
                    step=parameter.step,
                    log=parameter.log,
                )
        return values

    def grid(self) -> list[Values]:
        """Every point; raises UserError where there are infinitely many."""
        points: list[Values] = [{}]
        for parameter in self.parameters:
            points = [
                {**point, **own}
                for point in points
                for own in (
                    [{parameter.key: value} for value in parameter.grid()]
                    if parameter.holds(point)
                    else [{}]
                )
            ]
        return points

    def samples(self) -> list[Values]:
        """Few points in which every choice, and both ends of every range, come at least once."""
        conditions = {key for parameter in self.parameters for key in parameter.when}
        deciding = [parameter for parameter in self.parameters if parameter.key in conditions]
        keys = [parameter.key for parameter in deciding]
        settled = [
            dict(zip(keys, values, strict=True))
            for values in itertools.product(*(parameter.choices for parameter in deciding))
        ]
        points: list[Values] = []
        seen: set[tuple[str, Value]] = set()
        fresh = True
        while fresh:
            fresh = False
            for given in settled:
                values: Values = {}
                for parameter in self.parameters:
                    if parameter.holds(values):
                        ends = parameter.extremes()
                        new = (end for end in ends if (parameter.key, storable(end)) not in seen)
                        values[parameter.key] = given.get(parameter.key, next(new, ends[0]))
                pairs = {(key, storable(value)) for key, value in values.items()}
                if not pairs <= seen:
                    fresh = True
                    seen |= pairs
                    points.append(values)
        return points

    def as_json(self) -> list[dict[str, Any]]:
        """The space as plain values, which tell it from others."""
        return [_as_json(parameter) for parameter in self.parameters]


def storable(value: Any) -> Value:
    """A choice as Optuna keeps it: a list or a mapping becomes its JSON."""
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
    parameters = []
    for key, node in described.items():
        found = list(_faults(key, node))
        faults += found
        if not found:
            parameters.append(_parameter(key, node))
    for parameter in parameters:
        faults += _condition_faults(parameter, parameters, described)
    if faults:
        raise UserError("\n".join(faults))
    return Space(tuple(_in_order(parameters)))


def warnings(space: Space) -> list[str]:
    """What is allowed but seldom meant, a sentence each."""
    return [
        f"{_where(parameter.key)}: a linear range from {parameter.low:g} to {parameter.high:g} "
        "draws nearly all values from its upper end; log: true draws evenly over the magnitudes"
        for parameter in space.parameters
        if not parameter.choices
        and not parameter.log
        and parameter.low > 0
        and math.log10(parameter.high / parameter.low) >= DECADES - 1e-9
    ]


def _where(key: str) -> str:
    return f"sweep.space.{key}"


def _as_json(parameter: Parameter) -> dict[str, Any]:
    names = ("choices",) if parameter.choices else ("low", "high", "log", "step")
    plain = {"key": parameter.key, **{name: getattr(parameter, name) for name in names}}
    return plain | ({"when": dict(parameter.when)} if parameter.when else {})


def _parameter(key: str, node: Mapping[str, Any]) -> Parameter:
    when = {
        other: tuple(value) if isinstance(value, list) else (value,)
        for other, value in (node.get("when") or {}).items()
    }
    if "choices" in node:
        return Parameter(key, choices=tuple(node["choices"]), when=when)
    low, high = node["low"], node["high"]
    return Parameter(
        key,
        low=low,
        high=high,
        log=bool(node.get("log", False)),
        step=node.get("step"),
        when=when,
    )


def _faults(key: str, node: Any) -> Iterator[str]:
    where = _where(key)
    if not isinstance(node, Mapping):
        yield f"{where}={node}: say {{choices: […]}} or {{low: …, high: …}}"
        return
    if strange := [name for name in node if name not in KEYS]:
        yield str(unknown(where, strange[0], KEYS))
        return
    if not isinstance(node.get("when") or {}, Mapping):
        yield f"{where}.when={node['when']}: say {{KEY: VALUE}} or {{KEY: [VALUES]}}"
    if "choices" in node:
        yield from _choice_faults(where, node)
    elif "low" in node and "high" in node:
        yield from _range_faults(where, node)
    else:
        yield f"{where}: say {{choices: […]}} or {{low: …, high: …}}"


def _choice_faults(where: str, node: Mapping[str, Any]) -> Iterator[str]:
    for name in ("low", "high", "log", "step"):
        if name in node:
            yield f"{where}: has choices, and so no {name}"
    choices = node["choices"]
    if not isinstance(choices, list) or not choices:
        yield f"{where}.choices={choices}: should be a list of at least one value"
    elif len({json.dumps(choice) for choice in choices}) < len(choices):
        yield f"{where}.choices={choices}: a value is there twice"


def _range_faults(where: str, node: Mapping[str, Any]) -> Iterator[str]:
    low, high, step, log = node["low"], node["high"], node.get("step"), node.get("log", False)
    numbers = {"low": low, "high": high} | ({} if step is None else {"step": step})
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            yield f"{where}.{name}={number}: should be a number"
            return
        if not math.isfinite(number):
            yield f"{where}.{name}={number}: should be finite"
            return
    if not isinstance(log, bool):
        yield f"{where}.log={log}: should be true or false"
    if low >= high:
        what = "is empty" if low == high else "is reversed"
        yield f"{where}: the range from {low} to {high} {what}; low should be less than high"
        return
    if log and low <= 0:
        yield f"{where}.low={low}: should be greater than 0 with log: true"
    if step is not None:
        if log:
            yield f"{where}.step={step}: there is no step with log: true"
        elif step <= 0:
            yield f"{where}.step={step}: should be greater than 0"
        elif step > high - low:
            yield f"{where}.step={step}: is longer than the range from {low} to {high}"
        elif isinstance(low, int) and isinstance(high, int) and not isinstance(step, int):
            yield (
                f"{where}.step={step}: should be a whole number as low and high are; "
                f"write low: {float(low)} for one that is not"
            )


def _condition_faults(
    parameter: Parameter, parameters: Sequence[Parameter], described: Mapping[str, Any]
) -> Iterator[str]:
    known = {other.key: other for other in parameters}
    for key, allowed in parameter.when.items():
        where = f"{_where(parameter.key)}.when"
        if key not in described or key == parameter.key:
            others = [other for other in described if other != parameter.key]
            yield str(unknown(where, key, others))
        elif key in known and not known[key].choices:
            yield f"{where}: {key} has a range; a condition is on a key with choices"
        elif key in known:
            for value in allowed:
                if value not in known[key].choices:
                    yield str(unknown(f"{where}.{key}", value, known[key].choices))


def _in_order(parameters: Sequence[Parameter]) -> list[Parameter]:
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
