"""asl retrain: the choices of a measured run, trained once more on all signers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from asl.commands.train import print_run
from asl.config.compose import run_command
from asl.config.plan import chosen_tracker, data_name
from asl.config.schema import RetrainSettings, checked
from asl.terminal import printable

if TYPE_CHECKING:
    from asl.runs.retrain import Retrained


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command("retrain", arguments, _retrain)


def _retrain(cfg: DictConfig) -> None:
    from asl.runs.retrain import retrain

    settings = checked(cfg, RetrainSettings)
    result = retrain(
        settings["run"],
        chosen_tracker(cfg),
        data=data_name(cfg),
        epochs=settings["epochs"],
        seed=settings["seed"],
    )
    _print_figures(result)
    print_run(result.run)


def _print_figures(result: "Retrained") -> None:
    """Print the recipe's test figures: no signer is left to test the final model on."""
    source = result.recipe.source
    values = ", ".join(f"{name} {value:.4f}" for name, value in result.figures.items())
    print(printable(f"trained on all signers, no test; figures of {source.name} ({source.split}):"))
    print(f"  {values or 'none, as it was not tested either'}")
