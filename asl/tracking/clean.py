"""Checkpoints that nobody needs any more: which they are, and removing them.

Metrics, parameters, figures and predictions of these runs stay. A registered model holds its own
files; its run's checkpoint is kept nevertheless, so that it can be exported again.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asl.errors import UserError
from asl.tracking.find import find_runs
from asl.tracking.found import CHECKPOINT_REMOVED, CHOOSING_METRICS, FoundRun
from asl.tracking.lock import lock_name, run_lock
from asl.tracking.ranking import rank
from asl.tracking.store import Tracker

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Removable:
    """The checkpoints of one run.

    Attributes:
        run: whose they are.
        reason: why they are not needed.
        folders: that hold them.
        size: of the files, in bytes.
    """

    run: FoundRun
    reason: str
    folders: tuple[Path, ...]
    size: int


def removable(tracker: Tracker) -> list[Removable]:
    """Checkpoints of failed, pruned and superseded runs, the largest first.

    A run is superseded by a later finished one with the same choices, clips, split and seed. Never
    removable are those of registered models, of the best run of each protocol, and of runs that
    are at work.

    Raises:
        UserError: the store is on a server, where the files are not ours to remove.
    """
    artifacts = tracker.artifacts
    if artifacts is None:
        raise UserError("asl clean: removes files of a store on this machine, not on a server")
    runs = find_runs(tracker)
    registered = {version.run_id for version in tracker.client.search_model_versions()}
    kept = registered | _best(runs)
    found = []
    for run, reason in _not_needed(runs):
        folders = (artifacts / run.run_id / "artifacts" / CHECKPOINTS, tracker.folder(run.run_id))
        size = sum(_bytes(folder) for folder in folders)
        if run.run_id not in kept and size:
            found.append(Removable(run, reason, folders, size))
    return sorted(found, key=lambda each: -each.size)


def remove(tracker: Tracker, checkpoints: Sequence[Removable]) -> None:
    """Remove checkpoints, and tag their runs, which can no longer be exported or go on.

    Raises:
        UserError: another process works on one of the runs.
        OSError: files cannot be removed; the same call goes on.
    """
    for each in checkpoints:
        run = tracker.client.get_run(each.run.run_id)
        with run_lock(tracker.locks, lock_name(run), each.run.name):
            tracker.client.set_tag(each.run.run_id, CHECKPOINT_REMOVED, each.reason)
            for folder in filter(Path.exists, each.folders):
                shutil.rmtree(folder)


def _not_needed(runs: Sequence[FoundRun]) -> Iterator[tuple[FoundRun, str]]:
    newest: dict[tuple[object, ...], FoundRun] = {}
    for run in sorted(runs, key=lambda run: run.started):
        if run.is_recognizer and run.status == "FINISHED":
            newest[_choices(run)] = run
    for run in runs:
        if run.status in ("FAILED", "KILLED"):
            yield run, run.status.lower()
        elif "pruned" in run.tags and run.status == "FINISHED":
            yield run, "pruned"
        elif run.is_training and run.status == "FINISHED":
            later = newest.get(_choices(run), run)  # none where all were cleaned already
            if later is not run:
                yield run, f"superseded by {later.name}"


def _choices(run: FoundRun) -> tuple[object, ...]:
    return run.tags.get("kind"), run.comparable, frozenset(run.params.items())


def _best(runs: Sequence[FoundRun]) -> set[str]:
    """The best of each group of runs whose numbers compare, as `run=best` would choose them."""
    groups: dict[tuple[str, ...], list[FoundRun]] = defaultdict(list)
    for run in runs:
        if run.is_recognizer and run.status == "FINISHED":
            groups[run.comparable].append(run)
    return {
        min(group, key=lambda run: rank(run.metrics, (metric,))).run_id
        for group in groups.values()
        for metric in CHOOSING_METRICS
    }


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
