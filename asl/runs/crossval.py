"""Cross-validation: every fold of a split with every seed, and their figures together.

The test signers of a fold have no part in its run: scaler, epoch and all else are chosen among the
other clips. The runs stand below one parent run; where some are missing or interrupted, the same
call does the rest.
"""

import copy
import inspect
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pandas as pd
import torch

from asl.addresses import without_passwords
from asl.clips import splits
from asl.clips.split import CHOSEN_ON_TEST, NOT_INDEPENDENT, SIGNER, Split, SplitKind
from asl.clips.store import ClipStore
from asl.errors import UserError, first_line
from asl.evaluation.crossval import column_table, fold_table, signer_table, summary
from asl.runs.data import check_trainable, make_split, open_store
from asl.runs.plan import RENAMED_IN_CONFIGS, RunPlan, digest, variation
from asl.runs.train import resume, train
from asl.targets import former_spelling
from asl.terminal import printable
from asl.tracking.crossval import Fold, folds_of, out_of_fold, record_crossval
from asl.tracking.curves import record_mean_curves
from asl.tracking.descriptions import averages_description, record_description
from asl.tracking.group import finished_group, group_run
from asl.tracking.inputs import record_all_clips
from asl.tracking.record import record_params
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker, open_tracker
from asl.tracking.tags import run_tags
from asl.workers import cores, process_pool


@dataclass(frozen=True)
class CrossvalRun:
    """A finished cross-validation.

    Attributes:
        run_id: of the parent run.
        name: of the parent run.
        protocol: split, folds and seeds, in words.
        metrics: means over folds and seeds, their deviations, and the pooled accuracy.
        folds: metrics of each fold and seed; None where it was finished before.
        columns: out-of-fold accuracy by each column of the clips; likewise.
    """

    run_id: str
    name: str
    protocol: str
    metrics: Mapping[str, float]
    folds: pd.DataFrame | None = field(default=None, repr=False)
    columns: pd.DataFrame | None = field(default=None, repr=False)


class Job(NamedTuple):
    """One run to do: its plan, the interrupted run to resume, and what its clips must be.

    Attributes:
        fold: its test.
        plan: of the run.
        resumes: id of the run to resume.
        store: the packed clips.
        fingerprint: of the clips.
        by_digest: of the column that the split goes by; empty where it goes by signer.
    """

    fold: int
    plan: RunPlan
    resumes: str | None
    store: Path
    fingerprint: str
    by_digest: str


class Protocol(NamedTuple):
    """How a cross-validation divides clips.

    Attributes:
        folds: their numbers.
        split: with fold 0 as its test.
        independent: whether no fold's test has a signer of its training.
        words: split, folds and seeds.
    """

    folds: list[int]
    split: Split
    independent: bool
    words: str

    def tags(self, plan: RunPlan, store: ClipStore, val_protocol: str) -> dict[str, str]:
        """The tags of the parent run."""
        tags = run_tags("crossval", plan.data.name, store.fingerprint, self.split)
        tags |= {"split": self.words, "val_protocol": val_protocol}
        return tags | {"signer_independent": str(self.independent).lower()}


def crossval(
    plan: RunPlan,
    tracker: Tracker | None = None,
    *,
    folds: Sequence[int] | None = None,
    seeds: int = 1,
    workers: int | None = None,
    parent: str | None = None,
    reuse: bool = False,
) -> CrossvalRun:
    """Train and test every fold of the plan's split.

    Args:
        plan: of each run; its split has folds.
        tracker: the MLflow store; the plan's where None.
        folds: only these; all where None.
        seeds: runs of each fold, with the plan's seed and those after it.
        workers: runs at the same time; one a core, or one on a GPU, where None.
        parent: id of the run that the cross-validation belongs under.
        reuse: whether a finished one of the same choices on the same clips, under the same parent,
            is taken as it is; below a parent that is always so.

    Raises:
        UserError: the split has no folds, or runs failed; the others are kept.

    Example:
        >>> import asl
        >>> plan = asl.plan("data=synthetic", "split=signer_kfold", "split.folds=2", "model=cnn",
        ...                 "trainer=smoke")
        >>> result = asl.crossval(plan, workers=1)
        >>> sorted(result.folds["fold"])
        [0, 1]
    """
    tracker = tracker or open_tracker(plan.tracking)
    store = open_store(plan.data)
    protocol = protocol_of(plan, store, folds, seeds)
    split, numbers = protocol.split, protocol.folds
    check_trainable(store, split)
    seed_list = list(range(plan.seed, plan.seed + seeds))
    digests = group_digests(plan, f"{store.fingerprint}{split.by_digest}", numbers, seed_list)
    takes = reuse or parent is not None
    if takes and (done := finished_group(tracker, "crossval", digests, parent)):
        print(f"crossval {done.name} ({done.run_id}): finished already", file=sys.stderr)
        return CrossvalRun(done.run_id, done.name, protocol.words, done.metrics)
    val_protocol = _val_protocol(split)
    tags = protocol.tags(plan, store, val_protocol)
    name = f"crossval-{plan.study}-{plan.data.name}"
    with group_run(tracker, "crossval", name, tags, digests, parent) as run:
        record_all_clips(run, plan.data.name, plan.data.root, store, "cross-validation")
        done_before = folds_of(tracker, run.id)
        jobs = _jobs(plan, numbers, seed_list, done_before, store, split.by_digest)
        about = f"crossval {run.name} ({run.id}): {protocol.words}\nvalidation: {val_protocol}"
        print(printable(about), file=sys.stderr)
        _run_all(jobs, workers, run, len(numbers) * len(seed_list), tracker)
        finished = [fold for fold in folds_of(tracker, run.id) if fold.finished]
        answers = out_of_fold(tracker, finished)
        table, columns, metrics = record_answers(run, answers, plan.params, split.by)
        record_mean_curves(tracker, run, [fold.run_id for fold in finished])
        what = f"**{plan.study}** on **{plan.data.name}**, each fold held out in turn"
        where = f"{protocol.words}; {val_protocol}"
        record_description(run, averages_description(what, metrics, where))
    return CrossvalRun(run.id, run.name, protocol.words, metrics, table, columns)


# --- which runs ---------------------------------------------------------------------------------


def protocol_of(
    plan: RunPlan, store: ClipStore, folds: Sequence[int] | None, seeds: int
) -> Protocol:
    """The folds of the plan's split.

    Args:
        plan: of each run.
        store: the plan's clips.
        folds: only these; all where None.
        seeds: how many.

    Raises:
        UserError: the split has no folds, or not these.
    """
    split = _first_fold(plan, store)
    numbers = _checked_folds(folds, split)
    independent = _test_signer_independent(plan, store, split, numbers)
    some = f"folds={numbers} " if len(numbers) < (split.folds or 0) else ""
    words = f"{split.family} {some}{len(numbers)} folds × {seeds} seeds"
    if not independent:
        words += f" {CHOSEN_ON_TEST if split.validated_on_test else NOT_INDEPENDENT}"
    return Protocol(numbers, split, independent, words)


def _first_fold(plan: RunPlan, store: ClipStore) -> Split:
    """The split with fold 0 as its test; raises UserError where the split has no folds."""
    options = plan.split.keywords if isinstance(plan.split, partial) else {}
    if "fold" not in inspect.signature(plan.split).parameters:
        kind = make_split(plan.split, store).kind
        with_folds = [
            name
            for name in get_args(SplitKind)
            if "fold" in inspect.signature(getattr(splits, name)).parameters
        ]
        raise UserError(f"split={kind}: has no folds; choose from {', '.join(sorted(with_folds))}")
    if options.get("test") is not None:
        raise UserError(f"split.test={options['test']}: each fold is the test once; see folds=")
    if options.get("fold"):
        raise UserError(f"split.fold={options['fold']}: each fold is the test once; see folds=")
    return make_split(partial(plan.split, fold=0), store)


def _checked_folds(folds: Sequence[int] | None, split: Split) -> list[int]:
    count = split.folds or 0
    numbers = list(range(count)) if folds is None else list(folds)
    if not numbers or set(numbers) - set(range(count)):
        raise UserError(f"folds={numbers}: choose from {', '.join(map(str, range(count)))}")
    return numbers


def _test_signer_independent(
    plan: RunPlan, store: ClipStore, split: Split, folds: Sequence[int]
) -> bool:
    """Whether no fold's test has a signer of its training."""
    if split.by == SIGNER:
        return split.test_signer_independent
    tests = (make_split(partial(plan.split, fold=fold), store) for fold in folds)
    return all(test.test_signer_independent for test in tests)


def _val_protocol(split: Split) -> str:
    """How validation is chosen in any fold, in words."""
    if split.validated_on_test:
        return "in each fold, its test clips"
    if split.val_signers:
        return "in each fold, signers kept out of its training"
    if split.val_groups:
        mixed = "" if split.val_signer_independent else f" {NOT_INDEPENDENT}"
        return f"in each fold, clips of a {split.by} kept out of its training{mixed}"
    return f"in each fold, {split.val_protocol}"


def group_digests(
    plan: RunPlan, fingerprint: str, folds: list[int], seeds: list[int]
) -> tuple[str, str]:
    """Digests of all that decides the results, by which an unfinished cross-validation is found.

    Args:
        plan: of each run.
        fingerprint: of the packed clips, and of the column that the split goes by.
        folds: their numbers.
        seeds: of the runs.

    Returns:
        This version's, and the one of version 0.1.
    """
    choices = copy.deepcopy(
        {key: value for key, value in plan.config.items() if key not in ("resume", "seed")}
    )
    # The clips are in the fingerprint.
    for key in ("root", "store", "source", "refuse_odd", "columns"):
        choices.get("data", {}).pop(key, None)
    choices.get("trainer", {}).pop("enable_progress_bar", None)
    former = former_spelling(choices)
    for (group, old), new in RENAMED_IN_CONFIGS.items():
        if new in former.get(group, {}):
            former[group][old] = former[group].pop(new)
    rest = [fingerprint, folds, seeds]
    return digest([choices, *rest]), digest([former, *rest])


def _jobs(
    plan: RunPlan,
    folds: list[int],
    seeds: list[int],
    previous: Sequence[Fold],
    store: ClipStore,
    by_digest: str = "",
) -> list[Job]:
    """The runs that are not finished yet: all folds once before any is run with another seed."""
    runs = {(run.fold, run.seed): run for run in previous}
    jobs = []
    for seed in seeds:
        for fold in folds:
            run = runs.get((fold, seed))
            if run and run.finished:
                continue
            resumes = run.run_id if run and run.resumable else None
            varied = variation(plan, seed=seed, fold=fold)
            place = (store.directory, store.fingerprint, by_digest)
            jobs.append(Job(fold, varied, resumes, *place))
    return jobs


# --- running them -------------------------------------------------------------------------------


def _run_all(
    jobs: list[Job], workers: int | None, parent: TrackedRun, total: int, tracker: Tracker
) -> None:
    """Do the jobs, print a line for each, and raise UserError at the end where some failed."""
    workers = min(workers or _default_workers(), len(jobs))
    start, failed = time.perf_counter(), 0
    if done := total - len(jobs):
        print(f"{done} of {total} runs are finished already", file=sys.stderr)
    for count, (job, outcome) in enumerate(_outcomes(jobs, workers, parent, tracker), start=1):
        failed += isinstance(outcome, str)
        minutes = (time.perf_counter() - start) / count * (len(jobs) - count) / 60
        text = f"FAILED: {outcome}" if isinstance(outcome, str) else f"accuracy {outcome:.4f}"
        line = f"{done + count:>4} of {total}  fold {job.fold}, seed {job.plan.seed}: {text}"
        print(printable(f"{line}  ({minutes:.0f} min left)"), file=sys.stderr)
    if failed:
        raise UserError(
            f"{failed} of {total} runs failed, each with a traceback.txt in MLflow; "
            "the same command tries them again"
        )


def _default_workers() -> int:
    return 1 if torch.cuda.is_available() else cores()


def _outcomes(
    jobs: list[Job], workers: int, parent: TrackedRun, tracker: Tracker
) -> Iterator[tuple[Job, float | str]]:
    """Each job with its test accuracy, or with the error that ended it."""
    if workers <= 1:
        for job in jobs:
            yield job, _outcome(job, parent.id, tracker)
        return
    threads = max(1, _default_workers() // workers)
    log = parent.work.with_suffix(".log")
    print(f"{workers} runs at once, {threads} threads each; their output: {log}", file=sys.stderr)
    killed = (
        "a run's process was killed, perhaps for memory; the same command resumes "
        "(workers=1 needs the least)"
    )
    # Ctrl-C reaches the workers too, and ends their runs as interrupted ones.
    with process_pool(
        workers, _print_to, (log,), threads=threads, interruptible=True, killed=killed
    ) as pool:
        futures = {pool.submit(_in_worker, job, parent.id): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _print_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout = sys.stderr = log.open("a", buffering=1, encoding="utf-8")


_interrupted = False


def _in_worker(job: Job, parent: str) -> float | str:
    """The job's outcome; after Ctrl-C, jobs that wait in this process are not started."""
    global _interrupted
    if _interrupted:
        raise KeyboardInterrupt
    try:
        return _outcome(job, parent, open_tracker(job.plan.tracking))
    except (KeyboardInterrupt, SystemExit):
        _interrupted = True
        raise


def _outcome(job: Job, parent: str, tracker: Tracker) -> float | str:
    try:
        store = _unchanged_store(job)
        if job.resumes:
            run = resume(job.resumes, tracker, store=store)
        else:
            run = train(job.plan, tracker, parent=parent, store=store)
    except Exception as error:  # its run has the traceback; the others continue
        return f"{type(error).__name__}: {without_passwords(first_line(error))}"
    return run.metrics["test/accuracy"]


def _unchanged_store(job: Job) -> ClipStore:
    """The clips; raises UserError where they are others than when the first run began."""
    store = ClipStore.open(job.store)
    by_digest = make_split(job.plan.split, store).by_digest if job.by_digest else ""
    if (store.fingerprint, by_digest) != (job.fingerprint, job.by_digest):
        raise UserError(
            f"data.store={job.store}: the clips have changed since the cross-validation began, so "
            f"fold {job.fold} is not run; the same command begins another one on the new clips"
        )
    return store


# --- their figures ------------------------------------------------------------------------------


def record_answers(
    parent: TrackedRun, clips: pd.DataFrame, params: Mapping[str, Any], by: str
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Record out-of-fold answers, the means, and the tables of folds, signers and columns.

    Args:
        parent: the run of the cross-validation.
        clips: a row a clip and seed, see `asl.evaluation.crossval.COLUMNS`.
        params: of the runs.
        by: what the folds are kept apart by.

    Returns:
        The table of folds, that of the columns, and the means.
    """
    table, columns = fold_table(clips, by), column_table(clips)
    metrics = summary(clips, table)
    shared = {key: value for key, value in params.items() if key not in ("seed", "split.fold")}
    record_params(parent, shared)
    record_crossval(parent, table, signer_table(clips), columns, clips, metrics)
    return table, columns, metrics
