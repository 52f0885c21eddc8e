"""Composing configs: for a command line, with all of Hydra's flags, or for some overrides."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import hydra
import yaml
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from asl.addresses import without_passwords
from asl.config.keys import UnknownKeyError, group_choices, unknown_keys
from asl.config.overrides import format_override, parse_overrides, with_current_names
from asl.errors import UserError, disk_failure
from asl.paths import CONF, EXPERIMENTS, PROJECT, raw_data
from asl.targets import allow_plugins


def compose(command: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The config of a command with these overrides; Hydra's own part of it is `cfg.hydra`."""
    register()
    overrides = with_current_names(overrides)
    with initialized(), _unknown_keys_explained(command, overrides):
        return hydra.compose(command, overrides, return_hydra_config=True)


def plain(node: DictConfig) -> dict[str, Any]:
    """A part of a config as plain values."""
    return cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))


def tracking_settings(overrides: Sequence[str] = ()) -> dict[str, str]:
    """The `tracking` group, with overrides such as `tracking.uri=…`."""
    return plain(compose("base", overrides).tracking)


@contextlib.contextmanager
def initialized() -> Iterator[None]:
    """Hydra ready to compose: as the running command has set it up, or set up now."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@contextlib.contextmanager
def _unknown_keys_explained(command: str, overrides: Sequence[str]) -> Iterator[None]:
    """Replace Hydra's advice on an unknown key, which is to add it, by the nearest known one."""
    if any(text.startswith("+") for text in overrides):
        _check_keys(command, overrides)
    try:
        yield
    except ConfigCompositionException:
        _check_keys(command, overrides)
        raise


def _check_keys(command: str, overrides: Sequence[str]) -> None:
    with initialized():
        config = hydra.compose(command, group_choices(overrides))
    if sentences := unknown_keys(command, config, overrides):
        raise UnknownKeyError("\n".join(sentences))


def register() -> None:
    """Make `${project:PATH}`, `${raw_data:NAME}` and the studies of experiments/ known to Hydra."""
    OmegaConf.register_new_resolver("project", lambda path: str(PROJECT / path), replace=True)
    OmegaConf.register_new_resolver("raw_data", raw_data, replace=True)
    store = ConfigStore.instance()
    if "experiment" not in store.repo:
        for path in sorted(EXPERIMENTS.glob("*.yaml")):
            store.store(path.stem, _read(path), group="experiment", package="_global_")


def _read(path: Path) -> Any:
    with path.open(encoding="utf-8") as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def run_command(
    command: str, arguments: Sequence[str], function: Callable[[DictConfig], Any]
) -> None:
    """Compose conf/`command`.yaml with typed arguments and call the function with it.

    The config has Hydra's own part under `hydra`. With `-m` the function is called for every
    combination of choices. `plugins=[PACKAGE]` is no key of the config, for a config may be a
    stranger's: it counts only where it is typed.
    """
    if {"-h", "--help"} & set(arguments):
        from asl.config.help import command_help

        print(command_help(command))
        return
    register()
    overrides = _hide_passwords(_allow_typed_plugins(with_current_names(arguments)))
    typed = list(sys.argv)
    failures: list[Exception] = []

    def task(cfg: DictConfig) -> Any:
        sys.argv = typed  # Lightning starts its DDP processes with the command as it was typed
        with open_dict(cfg):
            cfg.hydra = HydraConfig.instance().cfg.hydra  # type: ignore[union-attr]
        try:
            return function(cfg)
        except Exception as failure:
            of_user_or_disk = isinstance(failure, UserError) or disk_failure(failure)
            if HydraConfig.get().mode is not RunMode.RUN or not of_user_or_disk:
                raise
            failures.append(failure)  # past Hydra, which would print lines of its own
            return None

    sys.argv = [f"asl {command}", *overrides]
    try:
        with _unknown_keys_explained(command, overrides):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=command)(task)()
    finally:
        sys.argv = typed
    if failures:
        raise failures[0]


def _allow_typed_plugins(arguments: Sequence[str]) -> list[str]:
    """Let configs name the classes of `plugins=[PACKAGE]`; the arguments without it."""
    typed = [argument for argument in arguments if argument.startswith("plugins=")]
    for override in parse_overrides(typed):
        value = override.value
        packages = value if isinstance(value, list) else [value] if value else []
        allow_plugins([str(package) for package in packages])
    return [argument for argument in arguments if argument not in typed]


def _hide_passwords(arguments: Sequence[str]) -> list[str]:
    """Arguments with addresses that hold passwords in the environment.

    Hydra writes overrides and the config to multirun.yaml, and prints them where a job fails.
    """
    hidden = []
    for argument in arguments:
        if without_passwords(argument) != argument and not argument.startswith("-"):
            (override,) = parse_overrides([argument])
            prefix = argument[: len(argument) - len(argument.lstrip("+"))]
            value = _in_environment(override.value, override.key)
            argument = f"{prefix}{format_override(override.key, value)}"
        hidden.append(argument)
    return hidden


def _in_environment(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _in_environment(item, f"{key}.{name}") for name, item in value.items()}
    if not isinstance(value, str) or without_passwords(value) == value:
        return value
    variable = f"ASL_{key.replace('.', '_').upper()}"
    os.environ[variable] = value
    return f"${{oc.env:{variable}}}"
