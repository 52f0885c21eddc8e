"""asl eda: what is in the data."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from asl.config.compose import plain, run_command


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command("eda", arguments, _report)


def _report(cfg: DictConfig) -> None:
    from asl.clips.eda import write_report
    from asl.runs.data import open_store
    from asl.runs.plan import data_plan

    store = open_store(data_plan(plain(cfg.data)))
    print(f"report: {write_report(store, Path(cfg.report.dir))}")
