"""Finding runs again: the table of them, the best of them, and what they left."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from asl.errors import UserError
from asl.terminal import printable
from asl.tracking.found import CHOOSING_METRICS, FoundRun, best_first
from asl.tracking.ranking import rank
from asl.tracking.store import Tracker

FOUND_AT_ONCE = 1000

BEST = "best"
"""The name that `named_run` reads as the best run."""


def find_runs(
    tracker: Tracker,
    metric: str | None = None,
    data: str | None = None,
    split: str | None = None,
) -> list[FoundRun]:
    """Every run, best first by `metric`; those without it come last, newest first.

    Args:
        tracker: the store.
        metric: see `best_first`.
        data: only runs on this data set.
        split: see `best_first`.

    Raises:
        UserError: no run has that metric.
    """
    runs = runs_where(tracker, tagged("data", data)) if data else runs_where(tracker)
    return best_first(runs, metric, split)


def named_run(
    name: str,
    tracker: Tracker,
    metric: str | None = None,
    data: str | None = None,
    split: str | None = None,
) -> FoundRun:
    """The run of this id or name; `best` is the `best_run` for the other arguments."""
    best = name == BEST
    return best_run(tracker, metric, data, split) if best else find_run(tracker, name)


def best_run(tracker: Tracker, metric: str | None, data: str | None, split: str | None) -> FoundRun:
    """The best finished run that keeps a recognizer.

    By default it is chosen by its validation, as a choice made by test numbers would spoil them.
    Numbers compare only between runs on the same clips with the same split, validation and
    monitor: those of the newest run. Which run that is, and of how many, is printed to stderr.

    Raises:
        UserError: there is none.
    """
    wanted = (metric,) if metric else CHOOSING_METRICS
    runs = [
        run
        for run in find_runs(tracker, metric, data, split)
        if run.is_recognizer
        and run.status == "FINISHED"
        and not run.diverged
        and any(m in run.metrics for m in wanted)
    ]
    if not runs:
        where = "".join(f" with {k}={v}" for k, v in (("data", data), ("split", split)) if v)
        raise UserError(f"run=best: there is no finished run{where}; train one with `asl train`")
    newest = max(runs, key=lambda run: run.started)
    comparable = [run for run in runs if run.comparable == newest.comparable]
    best = min(comparable, key=lambda run: rank(run.metrics, wanted))
    others = len(runs) - len(comparable)
    protocol = f"{newest.split}, validation: {newest.tags.get('val_protocol', 'unknown')}"
    metric = next(name for name in wanted if name in best.metrics)
    message = (
        f"run=best: of {len(comparable)} on {newest.data} with the newest run's protocol "
        f"({protocol}, epoch by {newest.monitor}), {best.name} has the best {metric}"
        + (f"; {others} with other clips or protocols are left out" if others else "")
    )
    print(printable(message), file=sys.stderr)
    return best


def find_run(tracker: Tracker, run_id: str, key: str = "run") -> FoundRun:
    """The run with this id, or with this name.

    Args:
        tracker: the store.
        run_id: id or name.
        key: what the user typed it as, `run`, `runs` or `resume`.

    Raises:
        UserError: there is none.
    """
    for attribute in ("run_id", "run_name"):
        for run in runs_where(tracker, f"attributes.{attribute} = {_quoted(run_id)}"):
            if key != "resume" or run.is_training:
                return run
    runs = runs_where(tracker)
    if key == "resume":
        fitting = [run for run in runs if run.is_training and run.status != "FINISHED"]
    else:
        fitting = [run for run in runs if run.is_recognizer and run.status == "FINISHED"]
    choices = ([BEST] if key == "run" else []) + [run.name for run in fitting[:5]]
    none = "none can be resumed" if key == "resume" else "none is finished"
    listed = f"choose from {', '.join(choices)}" if choices else none
    what = "no such training run" if key == "resume" else "no such run"
    raise UserError(f"{key}={run_id}: there is {what}; {listed} (`asl runs` lists all)")


def download(tracker: Tracker, run_id: str, path: str) -> Path:
    """A local copy of a run's artifact.

    Raises:
        UserError: the run has no such artifact, or the path, of a tag perhaps, leads elsewhere.
    """
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise UserError(f"run={run_id}: {path} is no path of an artifact")
    folder = tracker.folder(run_id)
    if (
        tracker.artifacts
    ):  # not by MLflow's address, which is absolute and breaks when the project moves
        found = tracker.artifacts / folder.name / "artifacts" / path
        if found.exists():
            return found
    else:
        target = folder / "downloaded"
        target.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(MlflowException, OSError):
            return Path(tracker.client.download_artifacts(run_id, path, str(target)))
    raise UserError(f"run={run_id}: it has no {path}; did it finish?")


def run_config(tracker: Tracker, run_id: str) -> dict[str, Any]:
    """The full config that the run was started with; raises UserError where it is none."""
    path = download(tracker, run_id, "config.yaml")
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"run={run_id}: {path} is no YAML") from error
    if not isinstance(loaded, dict):
        raise UserError(f"run={run_id}: {path} is no config")
    return loaded


def metric_history(tracker: Tracker, run_id: str, metric: str) -> tuple[list[int], list[float]]:
    """The steps at which a run logged a metric, and its values."""
    points = tracker.client.get_metric_history(run_id, metric)
    return [point.step for point in points], [point.value for point in points]


def children(tracker: Tracker, parent: str, condition: str = "") -> list[FoundRun]:
    """The runs under a parent, the newest first; with a condition, those for which it holds."""
    own = tagged(MLFLOW_PARENT_RUN_ID, parent)
    return runs_where(tracker, f"{own} and {condition}" if condition else own)


def runs_where(tracker: Tracker, condition: str = "") -> list[FoundRun]:
    """The runs for which MLflow's filter holds, the newest first; only these are read."""
    runs: list[Run] = []
    token = None
    while True:
        page = tracker.client.search_runs(
            [tracker.experiment_id],
            condition,
            run_view_type=ViewType.ACTIVE_ONLY,
            max_results=FOUND_AT_ONCE,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        runs += page
        token = page.token
        if not token:
            return [found_run(run) for run in runs]


def tagged(tag: str, value: str) -> str:
    """The condition that a tag has a value."""
    return f"tags.`{tag}` = {_quoted(value)}"


def _quoted(text: str) -> str:
    """Text as MLflow's filter takes it, which knows no escape."""
    return f"'{text}'" if "'" not in text else '"' + text.replace('"', "") + '"'


def found_run(run: Run) -> FoundRun:
    """What MLflow has of a run, as plain values."""
    tags = run.data.tags
    return FoundRun(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        data=tags.get("data", ""),
        split=tags.get("split", ""),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(tags),
        started=run.info.start_time,
    )
