"""Overrides of keys that a command does not have, each answered with the nearest key."""

import difflib
from collections.abc import Sequence

from omegaconf import DictConfig

from asl.config.overrides import Override, parse_overrides
from asl.errors import UserError
from asl.paths import CONF


class UnknownKeyError(UserError):
    """Overrides name keys that a command does not have."""


def group_choices(overrides: Sequence[str]) -> list[str]:
    """Those of the overrides that choose in a group, with the first of several choices."""
    return [_one_choice(each) for each in _parsed(overrides) if _is_group(each)]


def unknown_keys(command: str, config: DictConfig, overrides: Sequence[str]) -> list[str]:
    """A sentence for every override of a key that a command does not have.

    `+` may add a key to a group, such as `+trainer.profiler=simple`, whose values are checked
    later; it may not add one beside the groups, where nothing would read it.

    Args:
        command: its name.
        config: composed with the overrides' `group_choices` alone.
        overrides: as typed.
    """
    others = [each for each in _parsed(overrides) if not _is_group(each)]
    return [sentence for each in others if (sentence := _fault(command, config, each))]


def _parsed(overrides: Sequence[str]) -> list[Override]:
    # Beside them stand Hydra's flags and their values, as in `--cfg job`.
    return parse_overrides(t for t in overrides if "=" in t and not t.startswith("-"))


def _is_group(override: Override) -> bool:
    name = override.key.partition("@")[0]
    return name == "experiment" or name.startswith("hydra/") or (CONF / name).is_dir()


def _one_choice(override: Override) -> str:
    """An override with one choice, the first where `-m` is given several."""
    if not isinstance(override.value, list):
        return override.text
    return override.text.partition("=")[0] + "=" + str(override.value[0])


def _fault(command: str, config: DictConfig, override: Override) -> str | None:
    if override.below(["hydra"]):
        return None
    node, path = config, ""
    for part in override.key.split("."):
        if not isinstance(node, DictConfig):
            return None  # an index into a list, or a fault that Hydra explains
        key = f"{path}.{part}".lstrip(".")
        if node.get(part) is None and key != override.key and (CONF / key).is_dir():
            choices = "|".join(sorted(file.stem for file in (CONF / key).glob("*.yaml")))
            return f"{override.key}: choose the {key} that it belongs to, by {key}={choices}"
        if part not in node:
            return None if override.adds and path else _advice(command, node, path, part)
        node, path = node.get(part), key
    return None


def _advice(command: str, node: DictConfig, path: str, part: str) -> str:
    keys = sorted(str(key) for key in node if not str(key).startswith("_"))
    near = difflib.get_close_matches(part, keys, n=1)
    key = f"{path}.{part}".lstrip(".")
    if near:
        return f"{key}: asl {command} has no such key; did you mean {path and path + '.'}{near[0]}?"
    return f"{key}: asl {command} has no such key; choose from {', '.join(keys)}"
