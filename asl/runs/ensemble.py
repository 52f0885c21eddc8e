"""An ensemble: several runs become one recognizer, which evaluates and exports as any other.

Its numbers hold only if no member has seen the clips that it is measured on, nor their signers:
that is checked against the split of every member.
"""

import shutil
import sys
from collections.abc import Callable, Sequence

import numpy as np

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.errors import UserError, unknown
from asl.runs.data import make_split, open_store
from asl.runs.load import LoadedRun, kept_checkpoint, load, overlap, training_split
from asl.runs.plan import DataPlan
from asl.runs.results import record_results
from asl.runs.train import TrainedRun
from asl.targets import describe, factory
from asl.terminal import printable
from asl.tracking.crossval import folds_of
from asl.tracking.descriptions import record_description, results_description
from asl.tracking.find import find_run
from asl.tracking.found import MONITOR, FoundRun
from asl.tracking.models import record_model
from asl.tracking.record import log_metrics, record_checkpoint, record_start
from asl.tracking.run import tracked_run
from asl.tracking.store import Tracker
from asl.tracking.tags import run_tags
from asl.training.checkpoint import join_checkpoints, load_recognizer


def ensemble(
    names: Sequence[str],
    tracker: Tracker,
    *,
    fold: int | None = None,
    data: DataPlan | None = None,
    split: Callable[..., Split] | None = None,
) -> TrainedRun:
    """Average the logits of finished runs, as a run of its own.

    Args:
        names: ids or names of runs, or of a cross-validation, of which the runs of one fold count.
        tracker: the MLflow store.
        fold: which fold's runs, of a cross-validation among them.
        data: the clips to measure on; those of the first member where None.
        split: makes the split to measure on; that of all members where None.

    Raises:
        UserError: the runs cannot be combined, or one has seen the clips to measure on.
    """
    members = _members(names, fold, tracker)
    data = data or members[0].data
    store = open_store(data)
    parts = make_split(split or factory(_common_split(members), "split"), store)
    _check_unseen(members, parts, store)
    titles = [member.run.name for member in members]
    tags = run_tags("ensemble", data.name, store.fingerprint, parts)
    tags[MONITOR] = ", ".join(sorted({member.run.monitor for member in members}))
    tags["members"] = ",".join(member.run.run_id for member in members)
    split_config = describe(split) if split else members[0].split_config
    config = {"runs": titles, "data": _data_config(data), "split": split_config}
    with tracked_run(tracker, f"ensemble{len(members)}-{data.name}", tags) as run:
        run.work.mkdir(parents=True, exist_ok=True)
        checkpoint = run.work / "best.ckpt"
        join_checkpoints([kept_checkpoint(member.run, tracker) for member in members], checkpoint)
        recognizer = load_recognizer(checkpoint)
        params = {"members": ", ".join(titles), "data": data.name}
        record_start(run, params, config, store, parts)
        print(printable(f"run {run.name} ({run.id}): {', '.join(titles)}"), file=sys.stderr)
        protocols = f"split: {parts.protocol}; validation: {parts.val_protocol}"
        print(printable(protocols), file=sys.stderr)
        weights = sum(p.numel() for p in recognizer.parameters() if p.requires_grad)
        metrics = record_results(
            run, recognizer, store, parts, data.batch_size, empty_frames=data.empty_frames
        )
        log_metrics(run, {"parameters": weights})
        record_model(run, "ensemble", metrics, data.name, store, parts, params)
        record_checkpoint(run, checkpoint)
        what = f"**Ensemble** of {', '.join(titles)} on **{data.name}**"
        record_description(run, results_description(what, run.id, parts, metrics))
        shutil.rmtree(run.work)
    return TrainedRun(run.id, run.name, metrics, parts)


def _data_config(data: DataPlan) -> dict[str, object]:
    """A data plan as a config's `data` group."""
    return {**vars(data), "source": describe(data.source), "store": str(data.store)}


# --- which runs ---------------------------------------------------------------------------------


def _members(names: Sequence[str], fold: int | None, tracker: Tracker) -> list[LoadedRun]:
    """The runs by name or id; raises UserError where they cannot be combined."""
    runs = [run for name in names for run in _named(name, fold, tracker)]
    if len(runs) < 2:
        raise UserError(
            f"runs=[{','.join(names)}]: an ensemble is of two runs or more, runs=[NAME,NAME]"
        )
    members: list[LoadedRun] = []
    for run in runs:
        if not run.is_recognizer:
            raise UserError(f"runs: {run.name} holds other runs and is no recognizer; name those")
        if run.status != "FINISHED":
            raise UserError(f"runs: {run.name} is {run.status}; an ensemble is of finished runs")
        if run.run_id in (member.run.run_id for member in members):
            raise UserError(f"runs: {run.name} is there twice")
        members.append(load(run, tracker))
    _check_alike(members)
    return members


def _named(name: str, fold: int | None, tracker: Tracker) -> list[FoundRun]:
    """The run of this name; of a cross-validation the runs of one fold, which share their test."""
    run = find_run(tracker, name, key="runs")
    folds = folds_of(tracker, run.run_id) if run.tags.get("kind") == "crossval" else []
    if not folds and fold is None:
        return [run]
    if not folds:
        raise UserError(f"fold={fold}: {name} is no cross-validation, it has no folds")
    numbers = sorted({each.fold for each in folds})
    if fold is None and len(numbers) > 1:
        raise UserError(
            f"runs: the folds of {run.name} cannot be combined: each was trained on the signers "
            "that the others are tested on, so no clips are left to test on; "
            f"choose the runs of one fold, fold={numbers[0]} say, of {', '.join(map(str, numbers))}"
        )
    if fold is not None and fold not in numbers:
        raise unknown("fold", fold, numbers)
    wanted = [each for each in folds if fold in (None, each.fold)]
    return [find_run(tracker, each.run_id) for each in sorted(wanted, key=lambda each: each.seed)]


def _check_alike(members: Sequence[LoadedRun]) -> None:
    first, *others = members
    for other in others:
        one, two = first.recognizer.landmarks.layout.name, other.recognizer.landmarks.layout.name
        both = f"runs: {other.run.name} and {first.run.name} cannot be combined: "
        if one != two:
            raise UserError(f"{both}their layouts are {two} and {one}")
        if other.recognizer.signs != first.recognizer.signs:
            raise UserError(f"{both}one has other signs, or another order of them")


# --- what it may be measured on -----------------------------------------------------------------


def _common_split(members: Sequence[LoadedRun]) -> dict[str, object]:
    """The split that all were trained with; raises UserError where they were not."""
    first, *others = members
    for other in others:
        if other.split_config != first.split_config:
            raise UserError(
                f"runs: {first.run.name} and {other.run.name} were trained with different splits "
                f"({first.run.split}; {other.run.split}): say with split= what to measure on"
            )
    return first.split_config


def _check_unseen(members: Sequence[LoadedRun], split: Split, store: ClipStore) -> None:
    """Raises UserError where a member has seen test or validation clips, or their signers.

    Clips that chose a member's epoch count as seen where the test is concerned.
    """
    signers = store.clip_signers
    for member in members:
        run, trained = member.run, training_split(member, store)
        if trained is None:
            raise UserError(
                f"runs: {run.name} was trained on other clips, or another packing of them, than "
                f"{store.directory} has now; what it has seen of these cannot be known"
            )
        for part, seen, by_signer in (
            ("test", np.union1d(trained.train, trained.val), split.test_signer_independent),
            ("val", trained.train, split.val_signer_independent),
        ):
            both = overlap(seen, getattr(split, part), signers if by_signer else None)
            if len(both):
                what = f"signers {', '.join(both)}" if by_signer else f"{len(both)} clips"
                raise UserError(
                    f"runs: {run.name} ({run.split}) has seen {what} of the {part} clips; choose "
                    "with split=, split.test= and split.val= what no member has seen"
                )
