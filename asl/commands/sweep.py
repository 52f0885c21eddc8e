"""asl sweep: search hyperparameters by trials; `status=NAME` shows the progress of a study."""

from collections.abc import Sequence

from omegaconf import DictConfig

from asl.config.compose import run_command
from asl.errors import UserError
from asl.terminal import printable


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if {"-m", "--multirun"} & set(arguments):
        raise UserError(
            "-m: a sweep has many runs anyway; give a key several choices in sweep.space, "
            "or run a grid with `asl train -m`"
        )
    run_command("sweep", arguments, _run)


def _run(cfg: DictConfig) -> None:
    if cfg.status is not None:
        _print_status(str(cfg.status), cfg.sweep.storage)
        return
    from asl.config.sweep_plan import sweep_plan
    from asl.sweeps.run import run_sweep, typed_command

    plan, store, split = sweep_plan(cfg)
    run_sweep(plan, store, split, typed_command())


def _print_status(name: str, url: str) -> None:
    from asl.commands.tables import console
    from asl.sweeps.status import study_status

    out = console()
    for part in study_status(name, url):
        if isinstance(part, str):
            print(printable(part))
        else:
            out.print(part)
