"""What a run records of itself: choices, provenance, results."""

import importlib.metadata
import os
import platform
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.figure import Figure
from mlflow.entities import Metric, Param

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.pictures import with_literal_texts
from asl.tracking.inputs import record_inputs
from asl.tracking.run import TrackedRun, closed_run
from asl.tracking.store import Tracker

PRUNED = "pruned"  # tag of a run that was given up early, and why


def record_params(run: TrackedRun, params: Mapping[str, Any]) -> None:
    """Log what was chosen; a resumed run keeps what it has, as MLflow's parameters never change."""
    known = run.client.get_run(run.id).data.params
    fresh = [Param(key, str(value)) for key, value in params.items() if key not in known]
    run.client.log_batch(run.id, params=fresh)


def log_metrics(run: TrackedRun, metrics: Mapping[str, float], step: int = 0) -> None:
    """Log metrics at one step, in one request."""
    now = int(time.time() * 1000)
    batch = [Metric(name, float(value), now, step) for name, value in metrics.items()]
    run.client.log_batch(run.id, metrics=batch)


def record_metrics(tracker: Tracker, run_id: str, metrics: Mapping[str, float]) -> None:
    """Log metrics of a run that is not open here."""
    log_metrics(closed_run(tracker, run_id), metrics)


def record_start(
    run: TrackedRun,
    params: Mapping[str, Any],
    config: Mapping[str, Any],
    store: ClipStore,
    split: Split,
) -> None:
    """Log what a run starts from: parameters, data sets, config.yaml, environment.json, notes.

    Args:
        run: the run.
        params: what was chosen.
        config: nested plain values; its `data` group names the data set and its folder.
        store: the packed clips.
        split: of the clips.
    """
    record_params(run, params)
    data = config.get("data", {})
    record_inputs(run, data.get("name", store.name), data.get("root", ""), store, split)
    record_text(run, yaml.safe_dump(dict(config), sort_keys=False), "config.yaml")
    run.client.log_dict(run.id, _environment(), "environment.json")
    run.client.log_dict(run.id, {"notes": split.notes}, "split_notes.json")


def record_text(run: TrackedRun, text: str, path: str) -> None:
    """Log a text as an artifact."""
    run.client.log_text(run.id, text, path)


def record_figure(run: TrackedRun, figure: Figure, path: str) -> None:
    """Log a figure as a PNG."""
    run.client.log_figure(run.id, with_literal_texts(figure), path)


def record_checkpoint(run: TrackedRun, checkpoint: Path) -> None:
    """Log the kept checkpoint, a file called best.ckpt."""
    run.client.log_artifact(run.id, str(checkpoint), "checkpoints")


def record_pruned(run: TrackedRun, reason: str) -> None:
    """Tag a run whose training was given up early."""
    run.client.set_tag(run.id, PRUNED, reason)


def remove_tag(run: TrackedRun, name: str) -> None:
    """Remove a tag that no longer holds."""
    run.client.delete_tag(run.id, name)


def record_files(run: TrackedRun, files: Sequence[Path], folder: str) -> None:
    """Log files as artifacts."""
    for file in files:
        run.client.log_artifact(run.id, str(file), folder)


def record_export(tracker: Tracker, run_id: str, files: Sequence[Path]) -> None:
    """Log exported files under their run."""
    record_files(closed_run(tracker, run_id), files, "export")


def _environment() -> dict[str, Any]:
    """Versions and machine, without anything that names the user."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: importlib.metadata.version(name) for name in _requirements()},
    }


def _requirements() -> list[str]:
    """The packages that this one needs, extras left out."""
    required = importlib.metadata.requires("asl") or []
    return [re.split(r"[^\w.-]", each)[0] for each in required if "extra ==" not in each]


def record_table(run: TrackedRun, table: pd.DataFrame, path: str) -> None:
    """Log a table as CSV."""
    record_text(run, table.to_csv(index=path.endswith("confusion.csv")), path)


def record_frame(run: TrackedRun, table: pd.DataFrame, path: str) -> None:
    """Log a table as parquet."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(file, index=False)
        run.client.log_artifacts(run.id, folder)


def record_split_results(
    run: TrackedRun,
    split: str,
    clips: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
) -> None:
    """Log what was measured on a split.

    Args:
        run: the run.
        split: `val` or `test`; the folder's name.
        clips: a row a clip, with what was recognised in it and the scores.
        tables: by name.
        figures: by name.
    """
    record_frame(run, clips, f"{split}/predictions.parquet")
    for name, table in tables.items():
        record_table(run, table, f"{split}/{name}.csv")
    for name, figure in figures.items():
        record_figure(run, figure, f"{split}/{name}.png")
