"""What MLflow shows as a run's description: what it is, what came of it, how to go on."""

from collections.abc import Mapping, Sequence
from math import nan

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from asl.clips.split import Split
from asl.markdown import markdown_table
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
        [
            part,
            *_cells(metrics, [f"{part}/{name}" for name in COLUMNS]),
            str(len(getattr(split, part))),
            split.part_protocol(part),
        ]
        for part in ("test", "val")
        if f"{part}/accuracy" in metrics
    ]
    table = markdown_table(["", *COLUMNS, "clips", "protocol"], rows)
    table = table if rows else "Nobody is left to measure it on."
    parts = [what, note, table, f"`asl export run={run_id}`"]
    return "\n\n".join(part for part in parts if part)


def averages_description(what: str, metrics: Mapping[str, float], protocol: str) -> str:
    """A cross-validation's means and deviations."""
    rows = [
        [name, *_cells(metrics, [f"test/{name}{of}" for of in ("", "_std_folds", "_std_seeds")])]
        for name in COLUMNS
        if f"test/{name}" in metrics
    ]
    table = markdown_table(["test", "mean", "sd over folds", "sd over seeds"], rows)
    return "\n\n".join([what, protocol, table])


def jobs_description(jobs: Sequence[FoundRun], metric: str, best: FoundRun) -> str:
    """The trainings of a multirun, the best by a validation metric first."""
    names = [metric, "test/accuracy", "test/f1"]
    order = sorted(jobs, key=lambda job: job.metrics[metric], reverse=not metric.endswith("loss"))
    rows = [[job.name, *(f"{job.metrics.get(n, nan):.4f}" for n in names)] for job in order]
    table = markdown_table(["run", *names], rows)
    return f"{table}\n\n`asl export run={best.run_id}`"


def _cells(metrics: Mapping[str, float], keys: Sequence[str]) -> list[str]:
    return [f"{metrics[key]:.4f}" if key in metrics else "" for key in keys]
