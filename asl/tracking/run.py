"""Opens an MLflow run, and sets its final status: FINISHED, FAILED or KILLED."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from asl.addresses import without_passwords
from asl.errors import UserError
from asl.tracking.lock import LOCK_TAG, lock_name, run_lock
from asl.tracking.store import Tracker


@dataclass(frozen=True)
class TrackedRun:
    """An open run; what it records goes through `client` under `id`."""

    client: MlflowClient
    id: str
    name: str
    work: Path


@contextmanager
def tracked_run(
    tracker: Tracker,
    name: str,
    tags: Mapping[str, str],
    parent: str | None = None,
    resume: str | None = None,
) -> Iterator[TrackedRun]:
    """Open or resume a run, and set its final status when the block ends.

    An exception makes it FAILED, with the traceback as an artifact; Ctrl-C or SIGTERM makes it
    KILLED.

    Args:
        tracker: the store.
        name: readable name; a new run's gets the first characters of its id.
        tags: what the run is about.
        parent: the run that this one belongs under.
        resume: id of a run to go on with.

    Raises:
        UserError: another process is at work on the run, or has just finished it.
    """
    client = tracker.client
    known = client.get_run(resume) if resume else None
    lock = lock_name(known)
    with run_lock(tracker.locks, lock, f"resume={name}"):
        run = _reopened(client, known) if known else create_run(tracker, name, tags, parent, lock)
        run_id = run.info.run_id
        tracked = TrackedRun(client, run_id, run.info.run_name or name, tracker.folder(run_id))
        try:
            yield tracked
        except BaseException as error:
            failed = isinstance(error, Exception)  # Ctrl-C and a termination are none
            _end_unfinished(tracked, "FAILED" if failed else "KILLED", traceback.format_exc())
            raise
        client.set_terminated(run_id, "FINISHED")


def _reopened(client: MlflowClient, known: Run) -> Run:
    """The run, RUNNING again; raises UserError where another process has finished it meanwhile."""
    run = client.get_run(known.info.run_id)
    if run.info.status == "FINISHED":
        raise UserError(f"resume={run.info.run_name}: this run is finished")
    client.update_run(run.info.run_id, status="RUNNING")
    return run


def _end_unfinished(run: TrackedRun, status: str, why: str) -> None:
    """Set a run's status, then record why: on a full disk either may be impossible."""
    with suppress(MlflowException, OSError):
        run.client.set_terminated(run.id, status)
    if status == "FAILED":
        with suppress(MlflowException, OSError):
            run.client.log_text(run.id, without_passwords(why), "traceback.txt")


def closed_run(tracker: Tracker, run_id: str, name: str = "") -> TrackedRun:
    """A run that has ended, to record more of it."""
    return TrackedRun(tracker.client, run_id, name, tracker.work / run_id)


def create_run(
    tracker: Tracker,
    name: str,
    tags: Mapping[str, str],
    parent: str | None = None,
    lock: str | None = None,
) -> Run:
    """A new run; its name gets the first characters of its id."""
    more = {MLFLOW_PARENT_RUN_ID: parent, LOCK_TAG: lock}
    all_tags = {**tags, **{key: value for key, value in more.items() if value}}
    run = tracker.client.create_run(tracker.experiment_id, tags=all_tags, run_name=name)
    full = f"{name}-{run.info.run_id[:4]}"
    tracker.client.set_tag(run.info.run_id, MLFLOW_RUN_NAME, full)
    return tracker.client.get_run(run.info.run_id)
