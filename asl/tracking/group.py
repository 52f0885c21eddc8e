"""The run above other runs: of a cross-validation, of a multirun. Found again, locked, and closed.

An unfinished group of the same identity is taken up again. While its process lives it holds a lock,
so that two commands never share a group, and a group whose lock is free was killed.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from asl.files import locked
from asl.tracking.find import children, runs_where, tagged
from asl.tracking.found import FoundRun
from asl.tracking.run import TrackedRun, tracked_run
from asl.tracking.store import Tracker

_LOCKED = {"crossval": "cross-validation", "multirun": "multirun"}


@contextmanager
def group_run(
    tracker: Tracker,
    kind: str,
    name: str,
    tags: Mapping[str, str],
    digests: Sequence[str] = (),
    parent: str | None = None,
) -> Iterator[TrackedRun]:
    """Open the run above others: an unfinished one of the same identity, or a new one.

    Children that a killed process left running are ended.

    Args:
        tracker: the store.
        kind: `crossval` or `multirun`.
        name: of a new one.
        tags: of a new one.
        digests: of all that decides the results; the first is a new group's, the others are those
            that earlier versions would have given. None: always a new group.
        parent: id of the run that it belongs under.

    Raises:
        UserError: another process is at work on it.
    """
    digests = digests or (secrets.token_hex(8),)
    file = tracker.work / f"{kind}-{digests[0]}.lock"
    with locked(file, f"the same {_LOCKED[kind]} is running already"):
        groups = _same_groups(tracker, kind, digests, parent)
        unfinished = next((run.run_id for run in groups if run.status != "FINISHED"), None)
        if unfinished:
            fail_stale_runs(tracker, unfinished)
        all_tags = {"kind": kind, _identity(kind): digests[0], **tags}
        with tracked_run(tracker, name, all_tags, parent, resume=unfinished) as run:
            yield run


def finished_group(
    tracker: Tracker, kind: str, digests: Sequence[str], parent: str | None
) -> FoundRun | None:
    """A finished group of this identity that belongs under a parent, or with None under none."""
    groups = _same_groups(tracker, kind, digests, parent)
    return next((run for run in groups if run.status == "FINISHED"), None)


def fail_stale_runs(tracker: Tracker, parent: str) -> None:
    """Mark a parent's running children as killed; only for the process that holds its lock."""
    for run in children(tracker, parent):
        mark_killed(tracker, run)


def mark_killed(tracker: Tracker, run: FoundRun) -> None:
    """Mark a run whose process is gone as KILLED, unless it has ended."""
    if run.status in ("RUNNING", "SCHEDULED"):
        tracker.client.set_terminated(run.run_id, "KILLED")


def _same_groups(
    tracker: Tracker, kind: str, digests: Sequence[str], parent: str | None
) -> list[FoundRun]:
    runs = [
        run for digest in digests for run in runs_where(tracker, tagged(_identity(kind), digest))
    ]
    return [run for run in runs if run.tags.get(MLFLOW_PARENT_RUN_ID) == parent]


def _identity(kind: str) -> str:
    return f"{kind}.identity"
