"""asl prepare: raw clips into a ClipStore."""

from collections.abc import Sequence

from omegaconf import DictConfig

from asl.commands.hydra import run_with_hydra
from asl.commands.parts import open_store
from asl.config import PrepareSettings, check


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_with_hydra(_prepare, "prepare", arguments)


def _prepare(cfg: DictConfig) -> None:
    check(cfg, PrepareSettings)
    open_store(cfg.data, cfg.workers)
