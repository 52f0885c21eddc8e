"""The final model: a recipe that was measured already, trained once more on every signer.

Nobody is left to test it on. Its figures are those of the runs that the recipe was measured with,
under names that say so: `crossval/accuracy`, or `holdout/accuracy`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean
from typing import Any

from asl.clips.splits import all_signers
from asl.errors import UserError
from asl.runs.plan import RunPlan, plan_of_config
from asl.runs.train import TrainedRun, train
from asl.targets import TARGET
from asl.tracking.crossval import folds_of
from asl.tracking.find import children, named_run, run_config
from asl.tracking.found import FoundRun
from asl.tracking.record import record_metrics
from asl.tracking.store import Tracker
from asl.tracking.sweep import TRIAL, final_runs
from asl.tracking.tags import RETRAINED, RETRAINED_ID, RETRAINED_SPLIT

SPLIT = {TARGET: "asl.clips.splits.all_signers", "val": "none"}
FIGURES = ("accuracy", "f1", "precision", "recall")


@dataclass(frozen=True)
class Recipe:
    """What is trained again, and what it has shown.

    Attributes:
        source: the run, cross-validation or sweep.
        runs: finished trainings of the recipe; the first one's choices are taken.
        kind: prefix of its figures: `crossval` where each signer was held out once, `holdout`.
        figures: test metrics of the source.
    """

    source: FoundRun
    runs: Sequence[FoundRun]
    kind: str
    figures: dict[str, float]

    @property
    def epochs(self) -> int:
        """Mean number of epochs up to the one that the runs kept."""
        return max(1, round(mean(kept for run in self.runs if (kept := epochs_kept(run)))))


@dataclass(frozen=True)
class Retrained:
    """The final model's run, the recipe, and the recipe's figures as they are logged."""

    run: TrainedRun
    recipe: Recipe
    figures: dict[str, float]


def retrain(
    name: str,
    tracker: Tracker,
    *,
    data: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
) -> Retrained:
    """Train a run's choices on all signers, for as many epochs as it kept.

    Args:
        name: id or name of a run, of a cross-validation or of a sweep; or `best`.
        tracker: the MLflow store that has it; the new run goes there too.
        data: name of the data set, for `best`.
        epochs: how many; the mean that the recipe's runs kept where None.
        seed: of the new run; that of the first run where None.

    Raises:
        UserError: there is no such run, it is not finished, or it was not tested.
    """
    recipe = find_recipe(name, tracker, data)
    plan = final_plan(recipe, tracker, epochs or recipe.epochs, seed)
    tags = {
        RETRAINED: recipe.source.name,
        RETRAINED_ID: recipe.source.run_id,
        RETRAINED_SPLIT: recipe.source.split,
    }
    figures = {f"{recipe.kind}/{metric}": value for metric, value in recipe.figures.items()}
    run = train(
        plan, tracker, tags=tags, on_start=lambda run_id: record_metrics(tracker, run_id, figures)
    )
    return Retrained(run, recipe, figures)


def epochs_kept(run: FoundRun) -> float | None:
    """Number of epochs up to the kept one; version 0.1 recorded that one's number from 0."""
    if "kept_epoch" in run.metrics:
        return run.metrics["kept_epoch"] + 1
    return run.metrics.get("epochs_kept")


def find_recipe(name: str, tracker: Tracker, data: str | None = None) -> Recipe:
    """The finished runs behind a name, and their test figures."""
    source = named_run(name, tracker, data=data)
    if source.status != "FINISHED":
        raise UserError(f"run={name}: is {source.status}, not finished")
    kind = source.tags.get("kind", "")
    if kind == "multirun" and (best := source.tags.get("best_child")):
        return find_recipe(best, tracker)
    if kind not in _RUNS_OF:
        raise UserError(f"run={name}: is of kind {kind}; choose one of {', '.join(_RUNS_OF)}")
    runs = [
        run
        for run in _RUNS_OF[kind](source, tracker)
        if run.status == "FINISHED" and epochs_kept(run)
    ]
    if not runs:
        raise UserError(f"run={name}: has no finished training, so nothing says how long to train")
    prefix = "crossval" if kind == "crossval" else "holdout"
    runs.sort(key=lambda run: (int(run.params["seed"]), run.started))
    return Recipe(source, runs, prefix, _figures(source, runs))


def final_plan(recipe: Recipe, tracker: Tracker, epochs: int, seed: int | None = None) -> RunPlan:
    """The plan of the recipe's choices on all signers."""
    first = recipe.runs[0]
    config = dict(run_config(tracker, first.run_id))
    config["split"] = SPLIT
    config["trainer"] = {**config["trainer"], "max_epochs": epochs}
    config["seed"] = config["seed"] if seed is None else seed
    params: dict[str, Any] = {
        key: value for key, value in first.params.items() if not key.startswith("split")
    }
    params |= {"split": "all", "trainer.max_epochs": epochs, "seed": config["seed"]}
    plan = plan_of_config(config, params, tracking={})
    return replace(plan, name=f"final-{plan.name}", split=partial(all_signers))


def _folds(crossval: FoundRun, tracker: Tracker) -> list[FoundRun]:
    ids = {fold.run_id for fold in folds_of(tracker, crossval.run_id) if fold.finished}
    return [run for run in children(tracker, crossval.run_id) if run.run_id in ids]


def _best_of_sweep(sweep: FoundRun, tracker: Tracker) -> list[FoundRun]:
    """The runs that tested the best trial's values, or else the trial's own."""
    trial = sweep.tags.get("best_trial")
    if trial is None:
        return []
    own = [run for run in children(tracker, sweep.run_id) if run.tags.get(TRIAL) == trial]
    return final_runs(tracker, sweep.run_id, int(trial)) or own


_RUNS_OF: dict[str, Callable[[FoundRun, Tracker], list[FoundRun]]] = {
    "train": lambda run, _: [run],
    "crossval": _folds,
    "sweep": _best_of_sweep,
}


def _figures(source: FoundRun, runs: Sequence[FoundRun]) -> dict[str, float]:
    """Test metrics: of the source, or of the mean of its runs."""
    figures = {}
    for metric in FIGURES:
        key = f"test/{metric}"
        if key in source.metrics:
            figures[metric] = source.metrics[key]
        elif all(key in run.metrics for run in runs):
            figures[metric] = mean(run.metrics[key] for run in runs)
    return figures
