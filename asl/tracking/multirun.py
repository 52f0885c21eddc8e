"""The parent run of a Hydra multirun."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException

from asl.errors import UserError
from asl.tracking.crossval import digest_of, end_the_dead
from asl.tracking.find import children, runs_where, tagged
from asl.tracking.store import Tracker

IDENTITY = "multirun.identity"
_LOCK = "multirun-of-"  # and its run's id: the file that its process holds
JOB = "job."  # and its number: the tag that says what became of a job


@dataclass(frozen=True)
class Job:
    """What became of a job.

    Attributes:
        number: its place among the jobs, from 0.
        overrides: what it was given, its own and those of all jobs.
        run_id: of its finished run, None where it failed.
        failure: why it failed.
    """

    number: int
    overrides: list[str]
    run_id: str | None = None
    failure: str | None = None


def open_parent(tracker: Tracker, overrides: Sequence[str], tags: Mapping[str, str]) -> str:
    """Open a run that stands for a whole multirun and return its id."""
    name = f"multirun-{datetime.now():%m%d-%H%M%S}"
    described = {"kind": "multirun", "overrides": " ".join(overrides), **tags}
    run = tracker.client.create_run(tracker.experiment_id, tags=described, run_name=name)
    return str(run.info.run_id)


def open_locked(
    tracker: Tracker, overrides: Sequence[str], tags: Mapping[str, str]
) -> tuple[str, FileLock]:
    """Open such a run, with the lock by which `end_killed` knows that its process lives."""
    tracker.work.mkdir(parents=True, exist_ok=True)
    run_id = open_parent(tracker, overrides, tags)
    lock = FileLock(tracker.work / f"{_LOCK}{run_id}.lock")
    lock.acquire()
    return run_id, lock


def end_killed(tracker: Tracker) -> Iterator[str]:
    """Give multiruns of this store their end whose process was killed on this machine.

    Their jobs may live on, on a cluster; whose own process was killed is resumed by hand.

    Yields:
        Their names.
    """
    for file in tracker.work.glob(f"{_LOCK}*.lock"):
        run_id = file.stem.removeprefix(_LOCK)
        try:
            with FileLock(file, blocking=False):
                run = tracker.client.get_run(run_id)
                if run.info.status == "RUNNING":
                    tracker.client.set_terminated(run_id, "KILLED")
                    yield run.info.run_name
        except (Timeout, MlflowException):  # it lives, or is another store's
            continue
        file.unlink(missing_ok=True)


def reopen_parent(
    tracker: Tracker, identity: Sequence[str], tags: Mapping[str, str]
) -> tuple[str, FileLock]:
    """The unfinished run of the same multirun, or a new one.

    Args:
        tracker: the store.
        identity: the overrides that decide the jobs' results.
        tags: for a new one.

    Returns:
        Its id, and the lock that keeps others from it.

    Raises:
        UserError: another process is at work on it.
    """
    digest = digest_of(sorted(identity))
    tracker.work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(tracker.work / f"multirun-{digest}.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise UserError("the same multirun is running already") from None
    for run in runs_where(tracker, tagged(IDENTITY, digest)):
        if run.status != "FINISHED":
            tracker.client.update_run(run.run_id, status="RUNNING")
            for tag in run.tags:
                if tag.startswith(JOB):
                    tracker.client.delete_tag(run.run_id, tag)
            end_the_dead(tracker, run.run_id)
            return run.run_id, lock
    return open_parent(tracker, identity, {IDENTITY: digest, **tags}), lock


def record_job(tracker: Tracker, multirun: str, job: Job) -> None:
    """Say on the parent what became of a job."""
    tracker.client.set_tag(multirun, f"{JOB}{job.number}", json.dumps(asdict(job)))


def jobs_of(tracker: Tracker, multirun: str) -> list[Job]:
    """What became of the jobs that have come to an end, in their order."""
    tags = tracker.client.get_run(multirun).data.tags
    jobs = [Job(**json.loads(value)) for tag, value in tags.items() if tag.startswith(JOB)]
    return sorted(jobs, key=lambda job: job.number)


def record_best(tracker: Tracker, run_id: str, metric: str) -> str:
    """Say on the parent which of its children is the best, and return it as it is printed.

    The child is chosen by a validation metric, never by test numbers.
    """
    client = tracker.client
    jobs = children(tracker, run_id)
    client.set_tag(run_id, "children", str(len(jobs)))
    measured = [job for job in jobs if job.status == "FINISHED" and metric in job.metrics]
    if not measured:
        return ""
    sign = -1 if metric.endswith("loss") else 1
    best = max(measured, key=lambda job: sign * job.metrics[metric])
    client.set_tag(run_id, "best_child", best.run_id)
    client.log_metric(run_id, metric, best.metrics[metric])
    return f"  best of {len(jobs)} by {metric}: {best.name} {best.metrics[metric]:.4f}"
