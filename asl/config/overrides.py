"""Command-line overrides, read by Hydra's own parser."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException, OverrideParseException

from asl.errors import UserError, first_line

# What version 0.1 called choices and keys; understood for one version more.
RENAMED_CHOICES = {
    "scaler": {"usual": "auto", "winner": "gislr_1st"},
    "landmarks": {"usual": "auto"},
    "features": {"winner": "gislr_1st", "reach": "distances"},
    "augment": {"winner": "gislr_1st"},
    "regularization": {"winner": "gislr_1st", "notebook": "notebook2023"},
    "handedness": {"one": "mirror_left"},
    "experiment": {
        "gislr_winner": "gislr_1st",
        "gislr_winner_miniature": "gislr_1st_miniature",
        "ablation_features_reach": "ablation_features_distances",
        "ablation_handedness_one": "ablation_handedness_mirror_left",
        **{
            f"remedied_{what}": f"fix_{what}"
            for what in ("all", "augment", "features", "length", "pooling", "scaler", "split")
        },
    },
}
RENAMED_KEYS = {
    "data.like_length": "data.bucket_by_length",
    "regularization.settle": "regularization.grace_epochs",
    "sweep.against": "sweep.second_objective",
}


class Override(NamedTuple):
    """One override as typed.

    Attributes:
        text: as typed.
        key: the config key or group, without `+`, `++`, `~` and package.
        value: the value that Hydra reads in it; a list of them where several are given with `-m`.
        removes: whether it removes the key (`~key`).
        adds: whether it may add the key (`+key`, `++key`).
    """

    text: str
    key: str
    value: Any
    removes: bool
    adds: bool = False

    def below(self, keys: Iterable[str]) -> bool:
        """Whether the key is one of these or lies in one of these groups."""
        return any(self.key == key or self.key.startswith(f"{key}.") for key in keys)


def parse_overrides(texts: Iterable[str]) -> list[Override]:
    """Read overrides.

    Raises:
        UserError: one is not in Hydra's grammar.
    """
    return [_parse(text) for text in texts]


@cache
def _parse(text: str) -> Override:
    try:
        parsed = OverridesParser.create().parse_override(text)
    except (OverrideParseException, HydraException) as error:
        raise UserError(f"{text}: is no override ({first_line(error)})") from error
    value = parsed.value()
    if isinstance(value, ChoiceSweep):
        value = [str(item) for item in value.list]
    adds = parsed.is_add() or parsed.is_force_add()
    return Override(text, parsed.key_or_group, value, parsed.is_delete(), adds)


def format_override(key: str, value: object) -> str:
    """A key and a value as they are typed."""
    return f"{key}={format_value(value)}"


def format_value(value: object) -> str:
    """A value in the grammar of Hydra's overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{format_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(format_value(item) for item in value) + "]"
    if isinstance(value, str) and not value.replace("_", "").replace("-", "").isalnum():
        return "'" + value.replace("'", "\\'") + "'"
    return str(value)


def with_model_file(arguments: Sequence[str]) -> list[str]:
    """Arguments with `model=FILE` as `tflite=FILE`: to Hydra, `model=` chooses a network."""
    return [f"tflite={a[6:]}" if a.startswith("model=") else a for a in arguments]


def with_current_names(arguments: Sequence[str]) -> list[str]:
    """Arguments with old spellings replaced; one line on stderr names each new spelling."""
    current = []
    for argument in arguments:
        renamed = _renamed(argument)
        if renamed != argument:
            print(f"note: {argument} is now {renamed}", file=sys.stderr)
        current.append(renamed)
    return current


def with_former_names(overrides: Sequence[str]) -> list[str]:
    """Overrides as version 0.1 spelled them."""
    keys = {new: old for old, new in RENAMED_KEYS.items()}
    choices = {
        group: {new: old for old, new in names.items()} for group, names in RENAMED_CHOICES.items()
    }
    return [_renamed(override, keys, choices) for override in overrides]


def _renamed(
    argument: str,
    keys: Mapping[str, str] = RENAMED_KEYS,
    names: Mapping[str, Mapping[str, str]] = RENAMED_CHOICES,
) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.startswith("-"):
        return argument
    prefix = key[: len(key) - len(key.lstrip("+~"))]
    name = key[len(prefix) :]
    if name in keys:
        return f"{prefix}{keys[name]}={value}"
    choices = names.get(name.partition("@")[0], {})
    values = [choices.get(each, each) for each in value.split(",")]
    return f"{key}={','.join(values)}"
