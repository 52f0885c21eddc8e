"""The parent run of a cross-validation: found again when it was not finished, and concluded."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from asl.errors import UserError
from asl.evaluation import plots as pictures
from asl.tracking.find import FoundRun, children, download, runs_where, tagged
from asl.tracking.record import log_metrics, record_frame, record_table
from asl.tracking.run import TrackedRun, tracked_run
from asl.tracking.store import Tracker

IDENTITY = "crossval.identity"
PREDICTIONS = "test/predictions.parquet"


@dataclass(frozen=True)
class Fold:
    """One run of a cross-validation.

    Attributes:
        run_id: its id.
        fold: which fold was its test.
        seed: its seed.
        finished: whether its results are there.
        can_go_on: whether it left a checkpoint to go on from.
    """

    run_id: str
    fold: int
    seed: int
    finished: bool
    can_go_on: bool


@contextmanager
def crossvalidation(
    tracker: Tracker,
    name: str,
    tags: Mapping[str, str],
    identity: Sequence[Any],
    multirun: str | None = None,
) -> Iterator[TrackedRun]:
    """The parent run: an unfinished one of the same identity, or a new one.

    Args:
        tracker: the store.
        name: for a new one.
        tags: for a new one.
        identity: all that decides the results, as JSON.
        multirun: id of the run that it belongs under.

    Raises:
        UserError: another process is at work on it.
    """
    digest = digest_of(identity)
    tracker.work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(tracker.work / f"crossval-{digest}.lock", blocking=False):
            same = _same(tracker, digest, multirun)
            begun = next((run.run_id for run in same if run.status != "FINISHED"), None)
            if begun:
                end_the_dead(tracker, begun)
            described = {"kind": "crossval", IDENTITY: digest, **tags}
            with tracked_run(tracker, name, described, multirun, resume=begun) as run:
                yield run
    except Timeout:
        raise UserError("the same cross-validation is running already") from None


def finished_under(tracker: Tracker, multirun: str, identity: Sequence[Any]) -> FoundRun | None:
    """A finished cross-validation of this identity that belongs under a multirun."""
    same = _same(tracker, digest_of(identity), multirun)
    return next((run for run in same if run.status == "FINISHED"), None)


def digest_of(identity: Sequence[Any]) -> str:
    """What stands in a tag for all that tells a run from others."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _same(tracker: Tracker, digest: str, multirun: str | None) -> list[FoundRun]:
    same = runs_where(tracker, tagged(IDENTITY, digest))
    return [run for run in same if run.tags.get(MLFLOW_PARENT_RUN_ID) == multirun]


def folds_of(tracker: Tracker, parent: str) -> list[Fold]:
    """The newest run of each fold and seed, a finished one before all others."""
    found: dict[tuple[int, int], Fold] = {}
    runs = [run for run in children(tracker, parent) if "split.fold" in run.params]
    for run in sorted(runs, key=lambda run: (run.status == "FINISHED", run.started)):
        fold, seed = int(run.params["split.fold"]), int(run.params["seed"])
        begun = any((tracker.work / run.run_id).glob("last-*.ckpt"))
        found[fold, seed] = Fold(run.run_id, fold, seed, run.status == "FINISHED", begun)
    return list(found.values())


def end_the_dead(tracker: Tracker, parent: str) -> None:
    """Gives runs their end whose process was killed; only for who alone is at work on a parent."""
    for run in children(tracker, parent):
        if run.status == "RUNNING":
            tracker.client.set_terminated(run.run_id, "KILLED")


def out_of_fold(tracker: Tracker, folds: Sequence[Fold]) -> pd.DataFrame:
    """Every run's predictions of its test clips, one below the other."""
    parts = []
    for fold in sorted(folds, key=lambda fold: (fold.fold, fold.seed)):
        part = pd.read_parquet(download(tracker, fold.run_id, PREDICTIONS))
        part.insert(0, "fold", fold.fold)
        part.insert(1, "seed", fold.seed)
        parts.append(part)
    clips = pd.concat(parts, ignore_index=True)
    clips.attrs = parts[0].attrs
    return clips


def record_crossval(
    run: TrackedRun,
    folds: pd.DataFrame,
    signers: pd.DataFrame,
    clips: pd.DataFrame,
    metrics: Mapping[str, float],
) -> None:
    """Log figures, tables, the signers' picture and the out-of-fold predictions.

    Args:
        run: the parent.
        folds: metrics of each fold and seed.
        signers: accuracy of each signer.
        clips: a row a clip and seed.
        metrics: of all of it.
    """
    log_metrics(run, dict(metrics))
    record_table(run, folds, "folds.csv")
    record_table(run, signers, "per_signer.csv")
    record_frame(run, clips, "out_of_fold.parquet")
    figure = pictures.signer_bars(signers, f"{run.name}: each signer when held out")
    run.client.log_figure(run.id, figure, "per_signer.png")
