"""What a run records of itself: choices, provenance, results."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from asl.tracking.run import TrackedRun

PACKAGES = (
    "torch", "pytorch-lightning", "torchmetrics", "mlflow",
    "hydra-core", "numpy", "pandas", "pyarrow",
)  # fmt: skip


def record_params(run: TrackedRun, params: Mapping[str, Any]) -> None:
    """Log what was chosen; a resumed run keeps what it has, as MLflow's parameters never change."""
    known = run.client.get_run(run.id).data.params
    fresh = [Param(key, str(value)) for key, value in params.items() if key not in known]
    run.client.log_batch(run.id, params=fresh)


def log_metrics(run: TrackedRun, metrics: dict[str, float], step: int = 0) -> None:
    """Log metrics at one step, in one request."""
    now = int(time.time() * 1000)
    batch = [Metric(name, float(value), now, step) for name, value in metrics.items()]
    run.client.log_batch(run.id, metrics=batch)


def record_data(run: TrackedRun, name: str, fingerprint: str, source: str, split: str) -> None:
    """Name the data set in MLflow's Dataset column, its digest the store's fingerprint."""
    dataset = Dataset(
        name=name,
        digest=fingerprint[:36],
        source_type="local",
        source=json.dumps({"uri": source}),
        profile=json.dumps({"split": split}),
    )
    context = InputTag(MLFLOW_DATASET_CONTEXT, "training")
    run.client.log_inputs(run.id, [DatasetInput(dataset, [context])])


def without_tracking(overrides: Sequence[str]) -> list[str]:
    """The overrides but for `tracking.…` and `sweep.storage`: an address may hold a password."""
    secret = ("tracking.", "sweep.storage=")
    return [override for override in overrides if not override.startswith(secret)]


def provenance_tags(project: Path) -> dict[str, str]:
    """The git commit, whether the tree was dirty, and the command line."""
    command = " ".join([Path(sys.argv[0]).name, *without_tracking(sys.argv[1:])])
    tags = {"command": command, "mlflow.source.name": command, "mlflow.source.type": "LOCAL"}
    commit = _git(project, "rev-parse", "HEAD")
    if commit:
        tags["git.commit"] = tags["mlflow.source.git.commit"] = commit
        tags["git.dirty"] = str(bool(_git(project, "status", "--porcelain"))).lower()
    return tags


def environment() -> dict[str, Any]:
    """Versions and machine, without anything that names the user."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def record_table(run: TrackedRun, table: pd.DataFrame, path: str) -> None:
    """Log a table as CSV."""
    run.client.log_text(run.id, table.to_csv(index=path.endswith("confusion.csv")), path)


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
        run.client.log_figure(run.id, figure, f"{split}/{name}.png")


def _git(folder: Path, *arguments: str) -> str:
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
