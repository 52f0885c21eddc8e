"""A sweep in MLflow: one parent run, and each trial's runs below it."""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from asl.tracking.find import children, tagged
from asl.tracking.found import FoundRun
from asl.tracking.lock import run_lock
from asl.tracking.record import log_metrics, record_metrics, record_params, record_table
from asl.tracking.run import TrackedRun, create_run
from asl.tracking.store import Tracker

# Tags of a trial's runs.
SWEEP = "sweep"
TRIAL = "sweep.trial"
PART = "sweep.part"  # number of the repetition, over folds or seeds
OVERRIDES = "sweep.overrides"  # with which `asl train` repeats it

_MOST_DESCRIBED = 4500  # characters; a tag of MLflow's holds 5,000


def open_parent(
    tracker: Tracker,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    known: str | None,
) -> TrackedRun:
    """The sweep's run: the known one where this store has it, otherwise a new one.

    Only for the process that holds `sweep_lock`.
    """
    client = tracker.client
    run = None
    if known:
        try:
            run = client.get_run(known)
            client.update_run(known, status="RUNNING")
        except MlflowException:  # created in another store
            run = None
    if run is None:
        run = create_run(tracker, f"sweep-{name}", {**tags, SWEEP: name}, lock=_lock_name(name))
    run_id = run.info.run_id
    parent = TrackedRun(client, run_id, run.info.run_name or name, tracker.folder(run_id))
    record_params(parent, params)
    return parent


def sweep_lock(tracker: Tracker, name: str) -> AbstractContextManager[None]:
    """Holds the lock of a sweep's run, together with the other processes of the sweep."""
    return run_lock(tracker.locks, _lock_name(name), shared=True)


def _lock_name(name: str) -> str:
    return hashlib.sha256(f"sweep {name}".encode()).hexdigest()[:16]


def delete_parent(parent: TrackedRun) -> None:
    """Delete a parent where another process had already created one."""
    parent.client.delete_run(parent.id)


def end_parent(parent: TrackedRun, status: str) -> None:
    """Set its status: FINISHED, FAILED where too many trials crashed, KILLED where interrupted."""
    parent.client.set_terminated(parent.id, status)


def runs_of_trial(tracker: Tracker, parent: str, trial: str) -> list[FoundRun]:
    """A trial's runs, the newest first."""
    return children(tracker, parent, tagged(TRIAL, trial))


def final_runs(tracker: Tracker, parent: str, best: int) -> list[FoundRun]:
    """The finished runs that tested the best trial's values."""
    return [
        run
        for run in children(tracker, parent)
        if run.tags.get(TRIAL, "").startswith(f"final-{best}-") and run.status == "FINISHED"
    ]


def mark(tracker: Tracker, run_id: str, **tags: object) -> None:
    """Set a run's `sweep.…` tags."""
    for name, value in tags.items():
        tracker.client.set_tag(run_id, f"{SWEEP}.{name}", str(value))


def record_costs(tracker: Tracker, run_id: str, costs: Mapping[str, float]) -> None:
    """Log size and latency of a run's exported file."""
    record_metrics(tracker, run_id, {f"tflite/{name}": value for name, value in costs.items()})


def record_sweep(
    parent: TrackedRun,
    table: pd.DataFrame,
    metrics: Mapping[str, float],
    tags: Mapping[str, object],
    text: str,
    figures: Mapping[str, Figure],
    pages: Mapping[str, str],
) -> None:
    """Log the results of the sweep so far on its run.

    Args:
        parent: the sweep's run.
        table: a row for each trial, `trials.csv`.
        metrics: the best value, and how many trials ended how; MLflow's step is their number.
        tags: the best child and its values.
        text: what is printed, `summary.txt`; MLflow shows its beginning as the description.
        figures: by name.
        pages: HTML, by name of the file.
    """
    if len(table):
        record_table(parent, table, "trials.csv")
    log_metrics(parent, metrics, step=len(table))
    for name, value in tags.items():
        parent.client.set_tag(parent.id, name, str(value))
    if text:
        parent.client.log_text(parent.id, text + "\n", "summary.txt")
        shown = f"```\n{text[:_MOST_DESCRIBED]}\n```"
        parent.client.set_tag(parent.id, MLFLOW_RUN_NOTE, shown)
    for name, figure in figures.items():
        parent.client.log_figure(parent.id, figure, f"pictures/{name}.png")
    for name, page in pages.items():
        parent.client.log_text(parent.id, page, name)
