"""What MLflow shows as a run's description: what it is, what came of it, how to go on."""

from collections.abc import Mapping, Sequence
from math import nan

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from asl.clips.split import Split
from asl.tracking.found import FoundRun
from asl.tracking.run import TrackedRun

COLUMNS = ("accuracy", "f1", "precision", "recall")


def record_description(run: TrackedRun, text: str) -> None:
    """Set the description, in Markdown."""
    run.client.set_tag(run.id, MLFLOW_RUN_NOTE, text)


def results_description(
    what: str, run_id: str, split: Split, metrics: Mapping[str, float], note: str = ""
) -> str:
    """A recognizer's results on validation and test, with their protocols.

    Args:
        what: the recognizer, in words.
        run_id: by which it is exported.
        split: that it was measured on.
        metrics: by name, `test/accuracy` say.
        note: another sentence.
    """
    rows = [
        f"| {part} | {' | '.join(_values(metrics, part))} | {len(getattr(split, part))} "
        f"| {split.part_protocol(part)} |"
        for part in ("test", "val")
        if f"{part}/accuracy" in metrics
    ]
    head = f"| | {' | '.join(COLUMNS)} | clips | protocol |\n|{'---|' * (len(COLUMNS) + 3)}"
    table = "\n".join([head, *rows]) if rows else "Nobody is left to measure it on."
    parts = [what, note, table, f"`asl export run={run_id}`"]
    return "\n\n".join(part for part in parts if part)


def averages_description(what: str, metrics: Mapping[str, float], protocol: str) -> str:
    """A cross-validation's means and deviations."""
    rows = [
        f"| {name} | {' | '.join(_mean_and_deviations(metrics, f'test/{name}'))} |"
        for name in COLUMNS
        if f"test/{name}" in metrics
    ]
    head = "| test | mean | sd over folds | sd over seeds |\n|---|---|---|---|"
    return "\n\n".join([what, protocol, "\n".join([head, *rows])])


def jobs_description(jobs: Sequence[FoundRun], metric: str, best: FoundRun) -> str:
    """The trainings of a multirun, the best by a validation metric first."""
    names = [metric, "test/accuracy", "test/f1"]
    order = sorted(jobs, key=lambda job: job.metrics[metric], reverse=not metric.endswith("loss"))
    rows = [
        f"| {job.name} | " + " | ".join(f"{job.metrics.get(n, nan):.4f}" for n in names) + " |"
        for job in order
    ]
    head = f"| run | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
    return "\n\n".join(["\n".join([head, *rows]), f"`asl export run={best.run_id}`"])


def _mean_and_deviations(metrics: Mapping[str, float], name: str) -> list[str]:
    keys = [name, f"{name}_std_folds", f"{name}_std_seeds"]
    return [f"{metrics[key]:.4f}" if key in metrics else "" for key in keys]


def _values(metrics: Mapping[str, float], part: str) -> list[str]:
    keys = [f"{part}/{name}" for name in COLUMNS]
    return [f"{metrics[key]:.4f}" if key in metrics else "" for key in keys]
