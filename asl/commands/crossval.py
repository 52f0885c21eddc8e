"""asl crossval: every fold of a split with every seed, and what they say together.

The test signers of a fold have no part in its run: scaler, epoch and all else are chosen among the
other clips. The runs are those of `asl train`, one below the other under a parent run; where some
are missing or half done, the same command does the rest.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from omegaconf import DictConfig, OmegaConf

from asl.commands.hydra import run_with_hydra
from asl.errors import UserError
from asl.workers import cores, end_with_parent

if TYPE_CHECKING:
    import pandas as pd

    from asl.clips.store import ClipStore
    from asl.tracking.crossval import Fold
    from asl.tracking.run import TrackedRun
    from asl.tracking.store import Tracker

# Where things lie, what is shown and how much runs at once: no result differs by it.
_NOT_A_CHOICE = ("tracking", "workers", "resume", "hydra")


class Job(NamedTuple):
    """One run to do.

    Attributes:
        fold: which.
        seed: of the run.
        config: as `asl train` takes it, all values resolved.
        params: what to show as the run's parameters.
        begun: id of a run to go on with.
        store: the clips, checked once for all runs.
    """

    fold: int
    seed: int
    config: dict[str, Any]
    params: dict[str, Any]
    begun: str | None
    store: "ClipStore"


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    from asl.commands.multirun import ended_in_any_case

    with ended_in_any_case():
        run_with_hydra(_run, "crossval", arguments)


def _run(cfg: DictConfig) -> None:
    from asl.commands.comparison import carry_out
    from asl.commands.multirun import PARENT

    try:
        if multirun := os.environ.get(PARENT):
            carry_out(_crossval, cfg, multirun)
        else:
            _crossval(cfg)
    except (KeyboardInterrupt, SystemExit):
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        raise


def _crossval(cfg: DictConfig, multirun: str | None = None) -> str:
    """Do what is left to do of a cross-validation and return its run's id."""
    from asl.commands.parts import make_split, open_store, tracker
    from asl.config import PROJECT, CrossvalSettings, check
    from asl.tracking.crossval import crossvalidation, finished_under, folds_of
    from asl.tracking.record import provenance_tags

    check(cfg, CrossvalSettings)
    store = open_store(cfg.data)
    folds, seeds = _folds(cfg, store), list(range(cfg.seed, cfg.seed + cfg.seeds))
    split = make_split(_fold_split(cfg.split, folds[0]), store)
    kind = split.protocol.partition(" ")[0]
    tags = {
        "data": cfg.data.name,
        "data.fingerprint": store.fingerprint,
        "split": f"{kind} {len(folds)} folds × {len(seeds)} seeds",
        "signer_independent": str(split.test_signer_independent).lower(),
        "val_protocol": _of_any_fold(split.val_protocol),
        **provenance_tags(PROJECT),
    }
    runs = tracker(cfg.tracking)
    identity = [_choices(cfg), store.fingerprint, folds, seeds]
    if multirun and (finished := finished_under(runs, multirun, identity)):
        print(f"crossval {finished.name} ({finished.run_id}): finished already", file=sys.stderr)
        return finished.run_id
    params = _params(cfg)
    name = f"crossval-{params.get('experiment') or params.get('model')}-{cfg.data.name}"
    with crossvalidation(runs, name, tags, identity, multirun) as parent:
        jobs = _jobs(cfg, params, folds, seeds, folds_of(runs, parent.id), store)
        print(f"crossval {parent.name} ({parent.id}): {tags['split']}", file=sys.stderr)
        print(f"validation: {tags['val_protocol']}", file=sys.stderr)
        _run_all(jobs, cfg.workers, parent, len(folds) * len(seeds))
        metrics = _conclude(runs, parent, params)
    _say_end(parent, tags, metrics)
    return parent.id


# --- what there is to do ------------------------------------------------------------------------


def _folds(cfg: DictConfig, store: "ClipStore") -> list[int]:
    """The numbers of the folds; raises UserError where the split has none, or not all asked for."""
    split = str(cfg.split._target_).rpartition(".")[2]
    if "fold" not in cfg.split:
        raise UserError(
            f"split={split}: has no folds; choose from leave_one_signer_out, signer_kfold"
        )
    if cfg.split.get("test") is not None:
        raise UserError(f"split.test={cfg.split.test}: each fold is the test once; see folds=")
    count = len(store.signers) if split == "leave_one_signer_out" else cfg.split.folds
    chosen = list(range(count)) if cfg.folds is None else list(cfg.folds)
    if not chosen or set(chosen) - set(range(count)):
        raise UserError(f"folds={chosen}: choose from {', '.join(map(str, range(count)))}")
    return chosen


def _fold_split(split: DictConfig, fold: int) -> DictConfig:
    return cast("DictConfig", OmegaConf.merge(split, {"fold": fold}))


def _of_any_fold(val_protocol: str) -> str:
    own = val_protocol.startswith("signers")
    return "in each fold, " + ("signers kept out of its training" if own else val_protocol)


def _choices(cfg: DictConfig) -> dict[str, Any]:
    """All that decides the results: what tells one cross-validation from another."""
    kept = [str(key) for key in cfg if key not in (*_NOT_A_CHOICE, "folds", "seeds", "seed")]
    choices = cast(
        "dict[str, Any]", OmegaConf.to_container(OmegaConf.masked_copy(cfg, kept), resolve=True)
    )
    for key in ("root", "store"):
        choices["data"].pop(key)
    choices["data"].pop("source")  # the clips themselves are in the store's fingerprint
    choices["trainer"].pop("enable_progress_bar")
    return choices


def _params(cfg: DictConfig) -> dict[str, Any]:
    from asl.commands.train import chosen_params

    params = chosen_params(cfg)
    return {key: value for key, value in params.items() if key not in ("seed", "split.fold")}


def _jobs(
    cfg: DictConfig,
    params: dict[str, Any],
    folds: list[int],
    seeds: list[int],
    done: "list[Fold]",
    store: "ClipStore",
) -> list[Job]:
    """The runs that are not finished yet."""
    known = {(fold.fold, fold.seed): fold for fold in done}
    jobs = []
    for seed in seeds:  # all folds once before any comes again: a first answer soon
        for fold in folds:
            found = known.get((fold, seed))
            if found and found.finished:
                continue
            one = OmegaConf.merge(cfg, {"seed": seed, "split": {"fold": fold}})
            config = cast("dict[str, Any]", OmegaConf.to_container(one, resolve=True))
            jobs.append(
                Job(
                    fold,
                    seed,
                    config,
                    {**params, "split.fold": fold, "seed": seed},
                    found.run_id if found and found.can_go_on else None,
                    store,
                )
            )
    return jobs


# --- doing it -----------------------------------------------------------------------------------


def _run_all(jobs: list[Job], workers: int | None, parent: "TrackedRun", total: int) -> None:
    """Do the jobs, tell of each, and raise UserError at the end where some have failed."""
    workers = min(workers or _workers(), len(jobs))
    began, failed = time.perf_counter(), 0
    if done := total - len(jobs):
        print(f"{done} of {total} runs are finished already", file=sys.stderr)
    for count, (job, outcome) in enumerate(_outcomes(jobs, workers, parent), start=1):
        failed += isinstance(outcome, str)
        left = (time.perf_counter() - began) / count * (len(jobs) - count)
        what = f"FAILED: {outcome}" if isinstance(outcome, str) else f"accuracy {outcome:.4f}"
        print(
            f"{done + count:>4} of {total}  fold {job.fold}, seed {job.seed}: {what}"
            f"  ({left / 60:.0f} min left)",
            file=sys.stderr,
        )
    if failed:
        raise UserError(
            f"{failed} of {total} runs failed, each with a traceback.txt in MLflow; "
            "the same command tries them again"
        )


def _workers() -> int:
    import torch

    if torch.cuda.is_available():
        return 1
    return cores()


def _outcomes(
    jobs: list[Job], workers: int, parent: "TrackedRun"
) -> Iterator[tuple[Job, float | str]]:
    """Each job with its test accuracy, or with what it died of."""
    if workers <= 1:
        for job in jobs:
            yield job, _outcome(job, parent.id)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    threads = max(1, _workers() // workers)
    log = parent.work.with_suffix(".log")
    print(
        f"{workers} runs at once, {threads} threads each; what they print: {log}", file=sys.stderr
    )
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (threads, log)) as pool:
        futures = {pool.submit(_in_worker, job, parent.id): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a run's process was killed, perhaps for memory; the same command goes on "
                "(workers=1 needs the least)"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start(threads: int, log: Path) -> None:
    """Prepares a worker process: its share of the cores, and a file for what its runs print.

    Ctrl-C reaches it too: its run ends as an interrupted one.
    """
    import torch

    end_with_parent()
    torch.set_num_threads(threads)
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout = sys.stderr = log.open("a", buffering=1, encoding="utf-8")


_interrupted = False


def _in_worker(job: Job, parent: str) -> float | str:
    """The job's outcome; after Ctrl-C none of the jobs is begun that wait in this process."""
    global _interrupted
    if _interrupted:
        raise KeyboardInterrupt
    try:
        return _outcome(job, parent)
    except (KeyboardInterrupt, SystemExit):
        _interrupted = True
        raise


def _outcome(job: Job, parent: str) -> float | str:
    from asl.commands.train import go_on_with, train
    from asl.config import register_resolvers

    register_resolvers()
    cfg = OmegaConf.create(job.config)
    try:
        if job.begun:
            trained = go_on_with(cfg.tracking, job.begun, {}, store=job.store)
        else:
            trained = train(cfg, job.params, parent, store=job.store)
    except Exception as error:  # the run has the traceback; the others go on
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return trained.metrics["test/accuracy"]


# --- what they say together ---------------------------------------------------------------------


def _conclude(runs: "Tracker", parent: "TrackedRun", params: dict[str, Any]) -> dict[str, float]:
    from asl.evaluation.crossval import fold_table, signer_table, summary
    from asl.tracking.crossval import folds_of, out_of_fold, record_crossval
    from asl.tracking.record import record_params

    folds = [fold for fold in folds_of(runs, parent.id) if fold.finished]
    clips: pd.DataFrame = out_of_fold(runs, folds)
    table = fold_table(clips)
    metrics = summary(clips, table)
    record_params(parent, params)
    record_crossval(parent, table, signer_table(clips), clips, metrics)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    return metrics


def _say_end(parent: "TrackedRun", tags: dict[str, str], metrics: dict[str, float]) -> None:
    spreads = [
        f"± {metrics[f'test/accuracy_std_{over}']:.4f} over {over}"
        for over in ("folds", "seeds")
        if f"test/accuracy_std_{over}" in metrics
    ]
    said = " ".join([f"accuracy {metrics['test/accuracy']:.4f}", ", ".join(spreads)]).strip()
    pooled = f"pooled accuracy {metrics['test/pooled_accuracy']:.4f}"
    print(f"test ({tags['split']}): {said}; {pooled}")
    print(f"crossval: {parent.name}  id: {parent.id}  (per signer and clip: asl ui)")
