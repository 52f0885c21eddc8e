"""What a sweep's run in MLflow says: how the sweep stands now and then, and how it ended."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from asl.config import PROJECT

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.commands.trials import Task
    from asl.tracking.find import FoundRun
    from asl.tracking.run import TrackedRun
    from asl.tracking.store import Tracker

REFRESH_SECONDS = 300
_SHOWN = 10  # trials in the printed table


def parent_run(
    cfg: DictConfig,
    task: "Task",
    study: "optuna.Study",
    store: "ClipStore",
    split: "Split",
    runs: "Tracker",
) -> "TrackedRun":
    """The sweep's run in MLflow, the same for all processes."""
    from filelock import FileLock

    from asl.tracking.record import provenance_tags
    from asl.tracking.sweep import forget_parent, open_parent

    sweep = cast("dict[str, Any]", OmegaConf.to_container(cfg.sweep, resolve=True))
    shown = ("sampler", "pruner", "second_objective", "folds", "seeds", "max_failures")
    params = {
        "sweep": HydraConfig.get().runtime.choices["sweep"],
        "data": cfg.data.name,
        "monitor": task.monitor,
        **{key: sweep[key] for key in shown},
        **{f"space.{node.pop('key')}": node for node in task.space.as_json()},
    }
    tags = {
        "data": cfg.data.name,
        "data.fingerprint": store.fingerprint,
        "split": split.protocol,
        "signer_independent": str(split.test_signer_independent).lower(),
        "val_protocol": validation(cfg, split),
        "study": task.place.name,
        "storage": task.place.said,
        **provenance_tags(PROJECT),
    }
    key = f"parent.{runs.experiment_id}"
    with FileLock(task.locks / "sweep-studies.lock"):
        known = study.user_attrs.get(key)
        parent = open_parent(runs, task.place.name, tags, params, known)
        if parent.id != known and study.user_attrs.get(key) == known:
            study.set_user_attr(key, parent.id)
        first = study.user_attrs[key]
        if first != parent.id:  # another machine was first
            forget_parent(parent)
            parent = open_parent(runs, task.place.name, tags, params, first)
    return parent


def validation(cfg: DictConfig, split: "Split") -> str:
    """Which clips the trials go by, as it is printed."""
    if cfg.sweep.folds > 1:
        return f"{cfg.sweep.folds} groups of training signers, each in turn"
    return split.val_protocol


@dataclass(frozen=True)
class Result:
    """What a sweep has come to.

    Attributes:
        table: a row a trial.
        metrics: the best value, how many trials ended how, what matters for it, and the test.
        tags: the best child and its values.
        printed: the first rows of the table, as they are printed.
        summary: the rest of what is printed.
    """

    table: "pd.DataFrame"
    metrics: dict[str, float]
    tags: dict[str, Any]
    printed: str
    summary: str


class Page:
    """Keeps the sweep's run up to date."""

    def __init__(
        self, task: "Task", study: "optuna.Study", parent: "TrackedRun", runs: "Tracker"
    ) -> None:
        from asl.sweeps.study import finished

        self._task, self._study, self._parent, self._runs = task, study, parent, runs
        self._recorded, self._moment = len(finished(study)), time.monotonic()

    def refresh(self) -> None:
        """Record how the sweep stands, where that was long ago and trials have ended since."""
        from asl.sweeps.study import finished

        if time.monotonic() - self._moment < REFRESH_SECONDS:
            return
        if (count := len(finished(self._study))) > self._recorded:
            self._record(interactive=False)
        self._recorded, self._moment = count, time.monotonic()

    def conclude(self) -> None:
        """Record what came of the sweep, and print it."""
        from optuna.trial import TrialState

        from asl.tracking.find import children
        from asl.tracking.sweep import bury

        trials = self._study.get_trials(deepcopy=False)
        if not any(trial.state is TrialState.RUNNING for trial in trials):
            for run in children(self._runs, self._parent.id):
                bury(self._runs, run)
        found = self._record(interactive=True)
        if found.summary:
            print(found.printed, found.summary, sep="\n")

    def _record(self, interactive: bool) -> Result:
        from asl.sweeps.pictures import pictures
        from asl.tracking.record import record_table
        from asl.tracking.sweep import record_sweep

        found = result(self._task, self._study, self._parent, self._runs)
        text = f"{found.summary}\n\n{found.printed}".strip()  # MLflow shows the first lines
        page = {}
        if interactive and len(found.table):
            from asl.sweeps.page import interactive_page

            page["sweep.html"] = interactive_page(self._study, text)
        record_sweep(
            self._parent,
            found.table,
            found.metrics,
            found.tags,
            text,
            pictures(self._study),
            page,
        )
        if self._task.second_objective and len(found.table):
            record_table(self._parent, _front(self._task, self._study), "front.csv")
        return found


def result(task: "Task", study: "optuna.Study", parent: "TrackedRun", runs: "Tracker") -> Result:
    """What the sweep has come to so far."""
    from asl.commands.trials import OVERRIDES
    from asl.sweeps.report import importances, trial_table
    from asl.sweeps.study import best_trial
    from asl.tracking.sweep import runs_of_trial

    table = trial_table(study)
    states = list(table["state"]) if len(table) else []
    metrics = {
        f"trials_{state.lower()}": float(states.count(state))
        for state in ("COMPLETE", "PRUNED", "FAILED")
    }
    tags: dict[str, Any] = {"sweep.n_trials": task.total}
    best = best_trial(study)
    if best is None:
        return Result(table, metrics, tags, "", "")
    own = runs_of_trial(runs, parent.id, str(best.number))
    final = _final_runs(runs, parent.id, best.number)
    winner = _winner(final or own, task)
    metrics |= {"best_value": best.values[0], task.monitor: best.values[0], **_over_seeds(final)}
    metrics |= {f"importance/{key}": share for key, share in importances(study).items()}
    tags |= {"best_trial": best.number, "best_overrides": " ".join(best.user_attrs[OVERRIDES])}
    if winner:
        tags["best_child"] = winner.run_id
    shown = _front(task, study) if task.second_objective else table
    printed = _printed(task, shown)
    return Result(table, metrics, tags, printed, _summary(task, study, metrics, tags, parent.id))


def _front(task: "Task", study: "optuna.Study") -> "pd.DataFrame":
    """The trials that none other beats in both objectives."""
    from asl.commands.trials import RUN
    from asl.sweeps.front import front_table

    trials = study.get_trials(deepcopy=False)
    table = front_table(study, {t.number: t.user_attrs.get(RUN, "") for t in trials})
    return table.astype({"size": int}) if task.second_objective == "size" and len(table) else table


def _final_runs(runs: "Tracker", parent: str, best: int) -> "list[FoundRun]":
    from asl.tracking.find import children
    from asl.tracking.sweep import TRIAL

    return [
        run
        for run in children(runs, parent)
        if run.tags.get(TRIAL, "").startswith(f"final-{best}-") and run.status == "FINISHED"
    ]


def _winner(found: "Sequence[FoundRun]", task: "Task") -> "FoundRun | None":
    """The run to export: by its validation, never by its test."""
    measured = [run for run in found if run.status == "FINISHED" and task.monitor in run.metrics]
    sign = 1 if task.directions[0] == "minimize" else -1
    return min(measured, key=lambda run: sign * run.metrics[task.monitor], default=None)


def _over_seeds(final: "Sequence[FoundRun]") -> dict[str, float]:
    """Mean and deviation of each test metric of the best values' runs."""
    figures: dict[str, float] = {}
    for name in sorted({name for run in final for name in run.metrics if name.startswith("test/")}):
        values = [run.metrics[name] for run in final if name in run.metrics]
        figures[name] = fmean(values)
        if len(values) > 1:
            figures[f"{name}_std_seeds"] = stdev(values)
    return figures


def _printed(task: "Task", table: "pd.DataFrame") -> str:
    from asl.sweeps.report import printed

    if not task.second_objective:
        return printed(table, _SHOWN)
    return f"no other trial is better in {task.monitor} and in {task.second_objective}:\n{printed(table)}"


def _summary(
    task: "Task",
    study: "optuna.Study",
    metrics: dict[str, float],
    tags: dict[str, Any],
    parent: str,
) -> str:
    from asl.sweeps.report import said_importances

    which = "most accurate" if task.second_objective else "best"
    lines = [f"{which}: {task.monitor} {metrics['best_value']:.4f} with {tags['best_overrides']}"]
    if "test/accuracy" in metrics:
        spread = metrics.get("test/accuracy_std_seeds")
        deviation = f" ± {spread:.4f} over seeds" if spread is not None else ""
        lines.append(
            f"test: accuracy {metrics['test/accuracy']:.4f}{deviation}, f1 {metrics['test/f1']:.4f}"
        )
    lines.append(said_importances(study))
    how = f"  (asl export run={tags['best_child']})" if "best_child" in tags else ""
    lines.append(f"sweep: {task.place.name}  id: {parent}{how}")
    return "\n".join(lines)
