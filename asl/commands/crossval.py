"""asl crossval: every fold of a split with every seed; with -m, one for every combination."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from asl.config.callbacks import finalize_on_exit, multirun_job, parent_run
from asl.config.compose import run_command
from asl.config.plan import chosen_tracker, run_plan
from asl.config.schema import CrossvalSettings, checked
from asl.errors import failure_reason
from asl.terminal import printable

if TYPE_CHECKING:
    from asl.runs.crossval import CrossvalRun

MAX_FAILURE_LENGTH = 300  # characters of a job's failure that are recorded


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    with finalize_on_exit():
        run_command("crossval", arguments, _run)


def _run(cfg: DictConfig) -> None:
    try:
        if multirun := parent_run():
            _run_job(cfg, multirun)
        else:
            _crossval(cfg, None)
    except (KeyboardInterrupt, SystemExit):
        print("interrupted; the same command resumes", file=sys.stderr)
        raise


def _crossval(cfg: DictConfig, parent: str | None) -> str:
    from asl.runs.crossval import crossval

    settings = checked(cfg, CrossvalSettings)
    result = crossval(
        run_plan(cfg),
        folds=settings["folds"],
        seeds=settings["seeds"],
        workers=settings["workers"],
        parent=parent,
    )
    if result.folds is not None:
        _print(result)
    return result.run_id


def _run_job(cfg: DictConfig, multirun: str) -> None:
    """Do a job of a multirun, which continues where one fails."""
    from asl.tracking.multirun import JobResult, record_job

    number, overrides = multirun_job(cfg)
    try:
        job = JobResult(number, overrides, run_id=_crossval(cfg, multirun))
    except Exception as error:
        failure = failure_reason(error)
        job = JobResult(number, overrides, failure=failure[:MAX_FAILURE_LENGTH])
        print(printable(f"job {number} FAILED: {failure}"), file=sys.stderr)
    record_job(chosen_tracker(cfg), multirun, job)


def _print(result: "CrossvalRun") -> None:
    assert result.folds is not None
    metrics = result.metrics
    print(printable(result.folds.to_string(index=False, float_format="{:.4f}".format)))
    deviations = [
        f"± {metrics[f'test/accuracy_std_{over}']:.4f} over {over}"
        for over in ("folds", "seeds")
        if f"test/accuracy_std_{over}" in metrics
    ]
    accuracy = " ".join([f"accuracy {metrics['test/accuracy']:.4f}", ", ".join(deviations)]).strip()
    pooled = f"pooled accuracy {metrics['test/pooled_accuracy']:.4f}"
    print(printable(f"test ({result.protocol}): {accuracy}; {pooled}"))
    if result.columns is not None and len(result.columns):
        print(printable(result.columns.to_string(index=False, float_format="{:.4f}".format)))
    print(f"crossval: {result.name}  id: {result.run_id}  (per signer and clip: asl ui)")
