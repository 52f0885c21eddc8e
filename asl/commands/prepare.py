"""asl prepare: raw clips into a ClipStore."""

from collections.abc import Sequence

from omegaconf import DictConfig

from asl.commands.hydra import run_with_hydra
from asl.commands.parts import open_store


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_with_hydra(_prepare, "prepare", arguments)


def _prepare(cfg: DictConfig) -> None:
    open_store(cfg.data)
