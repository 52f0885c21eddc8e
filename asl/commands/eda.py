"""asl eda: what is in the data."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from asl.commands.hydra import run_with_hydra
from asl.commands.parts import open_store


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_with_hydra(_report, "eda", arguments)


def _report(cfg: DictConfig) -> None:
    from asl.clips.eda import write_report

    print(f"report: {write_report(open_store(cfg.data), Path(cfg.report.dir))}")
