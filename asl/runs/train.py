"""Training a run: plan → clips, recognizer, fit, results, all under one MLflow run."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from asl.clips.datamodule import ClipDataModule
from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.recognizer.build import build_recognizer
from asl.runs.data import check_landmarks, check_trainable, make_split, open_store
from asl.runs.fine_tune import initial_run, start_from
from asl.runs.load import LoadedRun, reading_config
from asl.runs.plan import RunPlan, plan_of_config, variation
from asl.runs.results import record_results
from asl.terminal import printable
from asl.tracking.descriptions import record_description, results_description
from asl.tracking.find import find_run, run_config
from asl.tracking.found import CHECKPOINT_REMOVED, MONITOR, SPLIT_BY_DIGEST
from asl.tracking.logger import EpochLogger, has_former_curves
from asl.tracking.models import record_model
from asl.tracking.record import (
    log_metrics,
    record_checkpoint,
    record_pruned,
    record_start,
    remove_tag,
)
from asl.tracking.run import TrackedRun, tracked_run
from asl.tracking.store import Tracker, open_tracker
from asl.tracking.system_metrics import system_metrics
from asl.tracking.tags import run_tags
from asl.training.augment import Augmentation
from asl.training.checkpoint import load_recognizer
from asl.training.fit import AfterEpoch, FitResult, Pruned, fit
from asl.training.module import SignClassifier

DDP_RUN = "ASL_DDP_RUN"  # work folder of the run whose extra data-parallel processes these are
TRAINED_PARTS = ("scaler", "features", "backbone", "head")


@dataclass(frozen=True)
class TrainedRun:
    """A finished run.

    Attributes:
        run_id: MLflow's.
        name: of the run.
        metrics: of the kept epoch, by name, `test/accuracy` say.
        split: what they were measured on.
        pruned: why training was given up early; None where it was not.
    """

    run_id: str
    name: str
    metrics: Mapping[str, float]
    split: Split | None = field(default=None, repr=False)
    pruned: str | None = None


def train(
    plan: RunPlan,
    tracker: Tracker | None = None,
    *,
    store: ClipStore | None = None,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    after_epoch: AfterEpoch | None = None,
    on_start: Callable[[str], None] | None = None,
    draw: bool = True,
) -> TrainedRun:
    """Train a run and measure its kept epoch.

    Args:
        plan: what to train, on which clips.
        tracker: the MLflow store; the plan's where None.
        store: the plan's clips, where they are open already.
        parent: id of the run that this one belongs under.
        tags: tags of the run beside the plan's.
        after_epoch: called with every epoch's number and metrics; it may raise `Pruned`.
        on_start: called with the run's id as soon as there is one.
        draw: whether confusion matrix, breakdowns and the like are drawn.

    Raises:
        UserError: the clips, the split and the landmarks do not fit together.

    Example:
        >>> import asl
        >>> plan = asl.plan("data=synthetic", "model=cnn", "trainer=smoke")
        >>> run = asl.train(plan)
        >>> 0 <= run.metrics["test/accuracy"] <= 1
        True
    """
    store = store or open_store(plan.data)
    split = make_split(plan.split, store)
    check_trainable(store, split)
    check_landmarks(plan.recognizer["landmarks"]["name"], store)
    if plan.frozen_epochs and not plan.init_from:
        raise UserError(f"frozen_epochs={plan.frozen_epochs}: needs init_from=RUN")
    if DDP_RUN in os.environ:
        return _train_ddp_worker(plan, store, split, os.environ[DDP_RUN])
    more = {MONITOR: plan.monitor, **plan.tags, **(tags or {})}
    all_tags = run_tags("train", plan.data.name, store.fingerprint, split, more)
    tracker = tracker or open_tracker(plan.tracking)
    start = initial_run(plan, tracker, store, split) if plan.init_from else None
    with tracked_run(tracker, plan.name, all_tags, parent) as run:
        if on_start:
            on_start(run.id)
        return _run(plan, store, split, run, start=start, after_epoch=after_epoch, draw=draw)


def resume(
    run_id: str,
    tracker: Tracker,
    *,
    trainer: Mapping[str, Any] | None = None,
    store: ClipStore | None = None,
    after_epoch: AfterEpoch | None = None,
    draw: bool = True,
) -> TrainedRun:
    """Resume an interrupted run: same config, optimizer, schedule, epoch and random state.

    Args:
        run_id: id or name of the run.
        tracker: the MLflow store that has it.
        trainer: options of the trainer that get other values.
        store: the clips that it was trained with, where they are open already.
        after_epoch: as in `train`.
        draw: as in `train`.

    Raises:
        UserError: there is no such run, it is finished or another process is at work on it, or its
            data set has changed.
    """
    found = find_run(tracker, run_id, key="resume")
    if found.status == "FINISHED":
        raise UserError(f"resume={run_id}: this run is finished; `asl evaluate run=…` measures it")
    with reading_config(found):
        plan = plan_of_config(run_config(tracker, found.run_id), found.params, tracking={})
    plan = variation(plan, trainer=trainer)
    store = store or open_store(plan.data)
    if store.fingerprint != found.tags["data.fingerprint"]:
        raise UserError(f"resume={run_id}: the data has changed since; start the run anew")
    split = make_split(plan.split, store)
    if split.by_digest != found.tags.get(SPLIT_BY_DIGEST, ""):
        raise UserError(f"resume={run_id}: {split.by} has changed since; start the run anew")
    if DDP_RUN in os.environ:
        return _train_ddp_worker(plan, store, split, os.environ[DDP_RUN], resumed=True)
    with tracked_run(tracker, found.name, {}, resume=found.run_id) as run:
        if CHECKPOINT_REMOVED in found.tags:
            remove_tag(run, CHECKPOINT_REMOVED)
        return _run(plan, store, split, run, resumed=True, after_epoch=after_epoch, draw=draw)


def build(plan: RunPlan, store: ClipStore, split: Split) -> tuple[SignClassifier, ClipDataModule]:
    """What is trained, its scaler fitted on the training clips, and the batches.

    Seeds first, so that a seed names the initial weights too.
    """
    pl.seed_everything(plan.seed, workers=True, verbose=False)
    recognizer = build_recognizer(plan.recognizer, store.signs)
    data = ClipDataModule(
        store,
        split,
        recognizer.landmarks,
        batch_size=plan.data.batch_size,
        workers=plan.data.workers,
        seed=plan.seed,
        bucket_by_length=plan.data.bucket_by_length,
        drop_last=plan.data.drop_last,
        empty_frames=plan.data.empty_frames,
    )
    recognizer.fit((batch.clips, batch.lengths) for batch in data.batches(split.train))
    operations = {name: make() for name, make in plan.augment.items()}
    classifier = SignClassifier(
        recognizer=recognizer,
        augment=Augmentation(operations, recognizer.landmarks),
        make_optimizer=lambda parameters, steps: plan.optimizer(parameters=parameters, steps=steps),
        regularization=plan.regularization,
        spec=dict(plan.recognizer),
    )
    return classifier, data


def _run(
    plan: RunPlan,
    store: ClipStore,
    split: Split,
    run: TrackedRun,
    *,
    resumed: bool = False,
    start: LoadedRun | None = None,
    after_epoch: AfterEpoch | None,
    draw: bool,
) -> TrainedRun:
    classifier, data = build(plan, store, split)
    if start:
        copied = start_from(classifier.recognizer, start)
        print(printable(f"init_from: {copied}"), file=sys.stderr)
    sizes = _parameter_counts(classifier)
    if not resumed:
        record_start(run, plan.params, plan.config, store, split)
        log_metrics(run, {"parameters": sum(sizes.values())})
    _print_start(run, split, sizes)
    os.environ[DDP_RUN] = str(run.work)
    try:
        with system_metrics(run):
            result = fit(
                classifier,
                data,
                directory=run.work,
                trainer=plan.trainer,
                monitor=plan.monitor,
                logger=EpochLogger(run),
                resume=resumed,
                after_epoch=after_epoch,
                frozen_epochs=plan.frozen_epochs,
            )
    except Pruned as reason:
        record_pruned(run, str(reason))
        shutil.rmtree(run.work, ignore_errors=True)  # absent before the first checkpoint
        return TrainedRun(run.id, run.name, {}, split, pruned=str(reason))
    except (KeyboardInterrupt, SystemExit):
        print(f"interrupted; resume with: asl train resume={run.id}", file=sys.stderr)
        raise
    finally:
        del os.environ[DDP_RUN]
    metrics = _record_end(plan, store, split, run, result, draw)
    shutil.rmtree(run.work)
    return TrainedRun(run.id, run.name, metrics, split)


def _record_end(
    plan: RunPlan,
    store: ClipStore,
    split: Split,
    run: TrackedRun,
    result: FitResult,
    draw: bool,
) -> dict[str, float]:
    """Measure the kept epoch, and record it."""
    recognizer = load_recognizer(result.checkpoint)
    measured = record_results(
        run,
        recognizer,
        store,
        split,
        plan.data.batch_size,
        test=plan.test,
        draw=draw,
        empty_frames=plan.data.empty_frames,
    )
    if result.monitored is not None:
        measured.setdefault(plan.monitor, result.monitored)
    step = result.epochs if has_former_curves(run) else 0
    record_model(run, "checkpoint", measured, plan.data.name, store, split, plan.params, step)
    facts = {
        "epochs_kept": result.kept_epoch + 1,
        "epochs": result.epochs,
        "fit_seconds": result.seconds,
    }
    log_metrics(run, facts)
    record_checkpoint(run, result.checkpoint)
    what = f"**{plan.study}** on **{plan.data.name}**, seed {plan.seed}"
    kept = f"epoch {result.kept_epoch + 1} of {result.epochs} is kept"
    note = f"Trained on {len(split.train):,} clips; {kept}."
    record_description(run, results_description(what, run.id, split, measured, note))
    return measured


def _train_ddp_worker(
    plan: RunPlan, store: ClipStore, split: Split, work: str, resumed: bool = False
) -> TrainedRun:
    """Train as one of the extra processes of a data-parallel run, which the first one records."""
    classifier, data = build(plan, store, split)
    fit(
        classifier,
        data,
        Path(work),
        plan.trainer,
        plan.monitor,
        logger=False,
        resume=resumed,
        frozen_epochs=plan.frozen_epochs,
    )
    return TrainedRun("", "", {}, split)


def _parameter_counts(classifier: SignClassifier) -> dict[str, int]:
    parts = {part: getattr(classifier.recognizer, part) for part in TRAINED_PARTS}
    return {
        part: sum(p.numel() for p in module.parameters() if p.requires_grad)
        for part, module in parts.items()
    }


def _print_start(run: TrackedRun, split: Split, sizes: Mapping[str, int]) -> None:
    parts = ", ".join(f"{part} {count:,}" for part, count in sizes.items() if count)
    clips = (
        f"{len(split.train)} training, {len(split.val)} validation, {len(split.test)} test clips"
    )
    lines = [
        f"run {run.name} ({run.id})",
        f"split: {split.protocol}; validation: {split.val_protocol}; {clips}",
        *split.notes,
        f"parameters: {sum(sizes.values()):,} ({parts})",
    ]
    print(printable("\n".join(lines)), file=sys.stderr)
