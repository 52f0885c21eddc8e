"""asl prepare: raw clips into a ClipStore."""

from collections.abc import Sequence

from omegaconf import DictConfig

from asl.config.compose import run_command
from asl.config.plan import checked_data


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command("prepare", arguments, _prepare)


def _prepare(cfg: DictConfig) -> None:
    from asl.runs.data import open_store
    from asl.runs.plan import data_plan

    open_store(data_plan(checked_data(cfg)), cfg.workers)
