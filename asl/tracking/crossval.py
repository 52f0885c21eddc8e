"""A cross-validation in MLflow: the runs of its folds, and what its parent run records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from asl.evaluation.plots import signer_bars
from asl.tracking.find import children, download
from asl.tracking.record import log_metrics, record_figure, record_frame, record_table
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker

PREDICTIONS = "test/predictions.parquet"


@dataclass(frozen=True)
class Fold:
    """One run of a cross-validation.

    Attributes:
        run_id: its id.
        fold: which fold was its test.
        seed: its seed.
        finished: whether its results are recorded.
        resumable: whether it left a checkpoint to resume from.
    """

    run_id: str
    fold: int
    seed: int
    finished: bool
    resumable: bool


def folds_of(tracker: Tracker, parent: str) -> list[Fold]:
    """The newest run of each fold and seed, a finished one before all others."""
    found: dict[tuple[int, int], Fold] = {}
    runs = [run for run in children(tracker, parent) if "split.fold" in run.params]
    for run in sorted(runs, key=lambda run: (run.status == "FINISHED", run.started)):
        fold, seed = int(run.params["split.fold"]), int(run.params["seed"])
        begun = any(tracker.folder(run.run_id).glob("last-*.ckpt"))
        found[fold, seed] = Fold(run.run_id, fold, seed, run.status == "FINISHED", begun)
    return list(found.values())


def out_of_fold(tracker: Tracker, folds: Sequence[Fold]) -> pd.DataFrame:
    """Every run's predictions of its test clips, one below the other.

    A column that the runs of an earlier version do not have is left out.
    """
    parts = []
    for fold in sorted(folds, key=lambda fold: (fold.fold, fold.seed)):
        part = pd.read_parquet(download(tracker, fold.run_id, PREDICTIONS))
        part.insert(0, "fold", fold.fold)
        part.insert(1, "seed", fold.seed)
        parts.append(part)
    clips = pd.concat(parts, ignore_index=True, join="inner")
    clips.attrs = parts[0].attrs
    return clips


def record_crossval(
    run: TrackedRun,
    folds: pd.DataFrame,
    signers: pd.DataFrame,
    columns: pd.DataFrame,
    clips: pd.DataFrame,
    metrics: Mapping[str, float],
) -> None:
    """Log figures, tables, the signers' picture and the out-of-fold predictions.

    Args:
        run: the parent.
        folds: metrics of each fold and seed.
        signers: accuracy of each signer.
        columns: accuracy of each value of the clips' columns; empty where they have none.
        clips: a row a clip and seed.
        metrics: of all of it.
    """
    log_metrics(run, metrics)
    record_table(run, folds, "folds.csv")
    record_table(run, signers, "per_signer.csv")
    if len(columns):
        record_table(run, columns, "by_column.csv")
    record_frame(run, clips, "out_of_fold.parquet")
    figure = signer_bars(signers, f"{run.name}: each signer when held out")
    record_figure(run, figure, "per_signer.png")
