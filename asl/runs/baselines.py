"""Cross-validations of recognizers without a network, recorded as those of networks are."""

import sys
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from asl.clips.datamodule import ClipDataModule
from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.errors import UserError, check_choice
from asl.evaluation.baselines import BASELINES
from asl.evaluation.predictions import Predictions, per_clip
from asl.recognizer.build import build_recognizer
from asl.runs.crossval import CrossvalRun, group_digests, protocol_of, record_answers
from asl.runs.data import check_landmarks, check_trainable, make_split, open_store
from asl.runs.plan import RunPlan, digest
from asl.tracking.descriptions import averages_description, record_description
from asl.tracking.group import finished_group, group_run
from asl.tracking.inputs import record_all_clips
from asl.tracking.record import log_metrics
from asl.tracking.store import Tracker, open_tracker

NO_VALIDATION = "none"
SECONDS = "fit_seconds"


def crossval_baseline(
    name: str,
    plan: RunPlan,
    tracker: Tracker | None = None,
    *,
    folds: Sequence[int] | None = None,
) -> CrossvalRun:
    """Test a baseline on every fold of the plan's split; a finished one is taken as it is.

    It sees what the plan's recognizer gives its network: landmarks, scaled and resampled. Nothing
    is chosen, so there is no validation, and nothing is random, so there is one seed.

    Args:
        name: of `asl.evaluation.baselines.BASELINES`.
        plan: its clips, split and preprocessing count; its network does not.
        tracker: the MLflow store; the plan's where None.
        folds: only these; all where None.

    Raises:
        UserError: there is no such baseline, the split has no folds, or clips are not resampled to
            evenly many steps.
    """
    check_choice("baselines", name, BASELINES)
    tracker = tracker or open_tracker(plan.tracking)
    store = open_store(plan.data)
    protocol = protocol_of(plan, store, folds, seeds=1)
    split = protocol.split
    check_trainable(store, split)
    check_landmarks(plan.recognizer["landmarks"]["name"], store)
    fingerprint = f"{store.fingerprint}{split.by_digest}"
    identity = digest([name, *group_digests(plan, fingerprint, protocol.folds, [plan.seed])[:1]])
    if done := finished_group(tracker, "crossval", [identity], None):
        print(f"{name} {done.name} ({done.run_id}): finished already", file=sys.stderr)
        return CrossvalRun(done.run_id, done.name, protocol.words, done.metrics)
    tags = protocol.tags(plan, store, NO_VALIDATION)
    group = f"crossval-{name}-{plan.data.name}"
    with group_run(tracker, "crossval", group, tags, [identity]) as run:
        print(f"crossval {run.name} ({run.id}): {protocol.words}", file=sys.stderr)
        record_all_clips(run, plan.data.name, plan.data.root, store, "cross-validation")
        start = time.perf_counter()
        answers = [
            _answers(name, plan, store, make_split(partial(plan.split, fold=fold), store), fold)
            for fold in protocol.folds
        ]
        log_metrics(run, {SECONDS: (time.perf_counter() - start) / len(answers)})
        clips = pd.concat(answers, ignore_index=True)
        clips.attrs = answers[0].attrs
        params = {**plan.params, "model": name}
        table, columns, metrics = record_answers(run, clips, params, split.by)
        what = f"**{name}** on **{plan.data.name}**, each fold held out in turn"
        record_description(run, averages_description(what, metrics, protocol.words))
    return CrossvalRun(run.id, run.name, protocol.words, metrics, table, columns)


def _answers(name: str, plan: RunPlan, store: ClipStore, split: Split, fold: int) -> pd.DataFrame:
    """A fold's out-of-fold answers, by clips of all other signers."""
    test = split.test
    train = np.setdiff1d(np.concatenate([split.train, split.val]), test)
    steps = _steps(plan, store, split, train)
    scores = BASELINES[name](steps[train], store.sign[train], steps[test], len(store.signs))
    signers = store.clip_signers[test]
    answers = Predictions(scores, store.sign[test], signers, test, store.signs)
    clips = per_clip(answers, store)
    clips.insert(0, "fold", fold)
    clips.insert(1, "seed", plan.seed)
    return clips


@torch.inference_mode()
def _steps(plan: RunPlan, store: ClipStore, split: Split, train: np.ndarray) -> np.ndarray:
    """The input of a network for every clip, float32 [clips, steps, features].

    The scaler is fitted on the training clips.
    """
    recognizer = build_recognizer(plan.recognizer, store.signs).eval()
    batch = plan.data.batch_size
    data = ClipDataModule(store, split, recognizer.landmarks, batch_size=batch)
    recognizer.fit((each.clips, each.lengths) for each in data.batches(train))
    steps: np.ndarray | None = None
    for each in data.batches(np.arange(len(store))):
        features, mask = recognizer.steps(each.clips, each.lengths)
        if not mask.all():
            raise UserError(
                "features.length: a baseline compares clips of evenly many steps; choose resample"
            )
        if steps is None:
            steps = np.zeros((len(store), *features.shape[1:]), np.float32)
        steps[each.index.numpy()] = features.numpy()
    assert steps is not None
    return steps
