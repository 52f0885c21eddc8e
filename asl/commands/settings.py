"""Settings of the commands that take flags of their own beside Hydra's overrides."""

from collections.abc import Sequence
from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from asl.config import CONF, register_resolvers


def tracking_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """The `tracking` group, with overrides such as `tracking.uri=…`."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("base", overrides=list(overrides))
    return cast("dict[str, Any]", OmegaConf.to_container(cfg.tracking, resolve=True))
