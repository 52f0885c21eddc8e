"""Configs composed without Hydra's command line: for flags beside overrides, and notebooks."""

from collections.abc import Sequence
from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from asl.config import CONF, register_resolvers


def composed(command: str, overrides: Sequence[str]) -> DictConfig:
    """The config of a command, as typed overrides make it."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(command, overrides=list(overrides))


def tracking_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """The `tracking` group, with overrides such as `tracking.uri=…`."""
    tracking = composed("base", overrides).tracking
    return cast("dict[str, Any]", OmegaConf.to_container(tracking, resolve=True))
