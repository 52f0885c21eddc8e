"""Running a function under Hydra, with all of Hydra's own flags."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from asl.config import CONF, register_resolvers
from asl.errors import UserError


def run_with_hydra(
    function: Callable[[DictConfig], Any], config: str, arguments: Sequence[str]
) -> None:
    """Compose conf/`config`.yaml with the overrides and call the function with it."""
    register_resolvers()
    typed = list(sys.argv)
    mistakes: list[UserError] = []

    def task(cfg: DictConfig) -> Any:
        sys.argv = typed  # Lightning starts its DDP processes with the command as it was typed
        try:
            return function(cfg)
        except UserError as mistake:
            if HydraConfig.get().mode is not RunMode.RUN:
                raise
            mistakes.append(mistake)  # past Hydra, which would print lines of its own
            return None

    sys.argv = [f"asl {config}", *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config)(task)()
    finally:
        sys.argv = typed
    if mistakes:
        raise mistakes[0]
