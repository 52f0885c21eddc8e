"""asl ensemble: several runs become one recognizer, which evaluates and exports as any other."""

from collections.abc import Sequence

from omegaconf import DictConfig, ListConfig

from asl.commands.train import print_run
from asl.config.compose import run_command
from asl.config.plan import chosen_data, chosen_split, chosen_tracker


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command("ensemble", arguments, _ensemble)


def _ensemble(cfg: DictConfig) -> None:
    from asl.runs.ensemble import ensemble

    names = list(cfg.runs) if isinstance(cfg.runs, ListConfig) else [cfg.runs] if cfg.runs else []
    run = ensemble(
        [str(name) for name in names],
        chosen_tracker(cfg),
        fold=cfg.fold,
        data=chosen_data(cfg),
        split=chosen_split(cfg),
    )
    print_run(run)
