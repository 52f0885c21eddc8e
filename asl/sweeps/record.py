"""The sweep's run in MLflow: opened or found again, kept up to date, and summarized at the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import optuna
import pandas as pd
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.sweeps.plan import SweepPlan
from asl.sweeps.plots import interactive_page, study_figures
from asl.sweeps.queue import OVERRIDES
from asl.sweeps.report import (
    format_importances,
    format_table,
    front_table,
    importances,
    trial_table,
)
from asl.sweeps.study import LOCK_FILE, best_trial, finished
from asl.tracking import sweep as tracking
from asl.tracking.found import FoundRun
from asl.tracking.group import fail_stale_runs
from asl.tracking.record import record_table
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker
from asl.tracking.tags import run_tags

REFRESH_SECONDS = 300
_SHOWN = 10  # trials in the printed table


def open_parent(
    plan: SweepPlan, study: optuna.Study, store: ClipStore, split: Split, tracker: Tracker
) -> TrackedRun:
    """The sweep's run, the same for all processes and machines: the study holds its id."""
    more = {
        "val_protocol": plan.validation,
        "study": plan.address.name,
        "storage": plan.address.redacted_url,
    }
    tags = run_tags("sweep", plan.params["data"], store.fingerprint, split, more)
    key = f"parent.{tracker.experiment_id}"
    with FileLock(tracker.work / LOCK_FILE):
        known = study.user_attrs.get(key)
        parent = tracking.open_parent(tracker, plan.address.name, tags, plan.params, known)
        if parent.id != known and study.user_attrs.get(key) == known:
            study.set_user_attr(key, parent.id)
        first = study.user_attrs[key]
        if first != parent.id:  # another machine was first
            tracking.delete_parent(parent)
            parent = tracking.open_parent(tracker, plan.address.name, tags, plan.params, first)
    return parent


@dataclass
class SweepRecord:
    """Keeps the sweep's run up to date."""

    plan: SweepPlan
    study: optuna.Study
    parent: TrackedRun
    tracker: Tracker

    def __post_init__(self) -> None:
        self._recorded, self._moment = len(finished(self.study)), time.monotonic()

    def refresh(self) -> None:
        """Record the results where trials have ended, every `REFRESH_SECONDS`."""
        if time.monotonic() - self._moment < REFRESH_SECONDS:
            return
        if (count := len(finished(self.study))) > self._recorded:
            self._record(interactive=False)
        self._recorded, self._moment = count, time.monotonic()

    def finish(self) -> str:
        """Record the results and return them as text; empty where no trial has a value."""
        trials = self.study.get_trials(deepcopy=False)
        if not any(trial.state is TrialState.RUNNING for trial in trials):
            fail_stale_runs(self.tracker, self.parent.id)
        return self._record(interactive=True)

    def _record(self, interactive: bool) -> str:
        study = self.study
        table = trial_table(study)
        states = list(table["state"]) if len(table) else []
        metrics = {
            f"trials_{state.lower()}": float(states.count(state))
            for state in ("COMPLETE", "PRUNED", "FAILED")
        }
        tags: dict[str, Any] = {"sweep.n_trials": self.plan.total}
        rows = summary = ""
        if best := best_trial(study):
            protocol = self._describe_best(best, metrics, tags)
            rows, summary = self._rows(table), self._summary(metrics, tags, protocol)
        text = f"{summary}\n\n{rows}".strip()  # MLflow shows the first lines
        has_page = interactive and len(table)
        tracking.record_sweep(
            self.parent,
            table,
            metrics,
            tags,
            text,
            study_figures(study),
            {"sweep.html": interactive_page(study, text)} if has_page else {},
        )
        if self.plan.second_objective and len(table):
            record_table(self.parent, front_table(study), "front.csv")
        return f"{rows}\n{summary}" if summary else ""

    def _describe_best(
        self, best: FrozenTrial, metrics: dict[str, float], tags: dict[str, Any]
    ) -> str:
        """Add the best values, their importances, their test, and the run to export.

        Returns:
            The split by which its runs were tested; empty where there is none.
        """
        final = tracking.final_runs(self.tracker, self.parent.id, best.number)
        runs = final or tracking.runs_of_trial(self.tracker, self.parent.id, str(best.number))
        metrics["best_value"] = metrics[self.plan.monitor] = best.values[0]
        metrics |= _over_seeds(final)
        metrics |= {f"importance/{key}": share for key, share in importances(self.study).items()}
        tags["best_trial"] = best.number
        tags["best_overrides"] = " ".join(best.user_attrs[OVERRIDES])
        if exported := self._best_run(runs):
            tags["best_child"] = exported.run_id
        return runs[0].tags.get("split", "") if runs else ""

    def _best_run(self, runs: Sequence[FoundRun]) -> FoundRun | None:
        """The run to export: chosen by its validation, never by its test."""
        monitor = self.plan.monitor
        measured = [run for run in runs if run.status == "FINISHED" and monitor in run.metrics]
        sign = 1 if self.plan.directions[0] == "minimize" else -1
        return min(measured, key=lambda run: sign * run.metrics[monitor], default=None)

    def _rows(self, table: pd.DataFrame) -> str:
        if not self.plan.second_objective:
            return format_table(table, _SHOWN)
        objectives = f"{self.plan.monitor} and in {self.plan.second_objective}"
        return f"no other trial is better in {objectives}:\n{format_table(front_table(self.study))}"

    def _summary(self, metrics: dict[str, float], tags: dict[str, Any], protocol: str) -> str:
        which = "most accurate" if self.plan.second_objective else "best"
        value = f"{self.plan.monitor} {metrics['best_value']:.4f}"
        lines = [f"{which}: {value} with {tags['best_overrides']}"]
        if "test/accuracy" in metrics:
            spread = metrics.get("test/accuracy_std_seeds")
            deviation = f" ± {spread:.4f} over seeds" if spread is not None else ""
            accuracy = f"accuracy {metrics['test/accuracy']:.4f}{deviation}"
            lines.append(f"test ({protocol}): {accuracy}, f1 {metrics['test/f1']:.4f}")
        lines.append(format_importances(self.study))
        export = f"  (asl export run={tags['best_child']})" if "best_child" in tags else ""
        lines.append(f"sweep: {self.plan.address.name}  id: {self.parent.id}{export}")
        return "\n".join(lines)


def _over_seeds(runs: Sequence[FoundRun]) -> dict[str, float]:
    """Mean and standard deviation of each test metric of the final runs."""
    figures: dict[str, float] = {}
    for name in sorted({name for run in runs for name in run.metrics if name.startswith("test/")}):
        values = [run.metrics[name] for run in runs if name in run.metrics]
        figures[name] = fmean(values)
        if len(values) > 1:
            figures[f"{name}_std_seeds"] = stdev(values)
    return figures
