"""asl train: one run; with -m, a run for every combination of choices."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from asl.config.callbacks import finalize_on_exit, parent_run
from asl.config.compose import run_command
from asl.config.overrides import parse_overrides
from asl.config.plan import chosen_tracker, run_plan
from asl.errors import UserError
from asl.terminal import printable

if TYPE_CHECKING:
    from asl.clips.split import Split
    from asl.runs.train import TrainedRun


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    with finalize_on_exit():
        run_command("train", arguments, _train)


def _train(cfg: DictConfig) -> float | None:
    from asl.runs.train import train

    run = train(run_plan(cfg), parent=parent_run()) if cfg.resume is None else _resume(cfg)
    if run.run_id:
        print_run(run)
    return run.metrics.get(cfg.monitor)


def _resume(cfg: DictConfig) -> "TrainedRun":
    from asl.runs.train import resume

    if not cfg.resume:
        raise UserError("resume=: name the run to go on with (`asl runs` lists all)")
    trainer = {}
    for override in parse_overrides(cfg.hydra.overrides.task):
        if override.below(["trainer"]):
            trainer[override.key.removeprefix("trainer.")] = override.value
        elif not override.below(["resume", "tracking"]):
            raise UserError(
                f"{override.text}: a resumed run keeps its choices; only trainer.* may change"
            )
    return resume(cfg.resume, chosen_tracker(cfg), trainer=trainer)


def print_run(run: "TrainedRun") -> None:
    """Print a finished run's validation and test metrics, and how to export it."""
    if run.split:
        print_metrics(run.metrics, run.split)
    print(f"run: {printable(run.name)}  id: {run.run_id}  (asl export run={run.run_id})")


def print_metrics(metrics: Mapping[str, float], split: "Split") -> None:
    """Print the metrics of each part with its protocol, a line each."""
    for part in ("val", "test"):
        values = [
            f"{name.removeprefix(f'{part}/')} {value:.4f}"
            for name, value in metrics.items()
            if name.startswith(f"{part}/")
        ]
        if values:
            print(printable(f"{part} ({split.part_protocol(part)}): {', '.join(values)}"))
