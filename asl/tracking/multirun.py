"""The parent run of a Hydra multirun."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from filelock import FileLock, Timeout
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from asl.errors import UserError
from asl.tracking.crossval import digest_of, end_the_dead
from asl.tracking.find import find_runs
from asl.tracking.store import Tracker

IDENTITY = "multirun.identity"
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
    for run in find_runs(tracker):
        if run.tags.get(IDENTITY) == digest and run.status != "FINISHED":
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


def close_parent(tracker: Tracker, run_id: str, metric: str) -> str:
    """End the parent: FINISHED if all children are, else FAILED; say which child is best.

    The child is chosen by a validation metric, never by test numbers.
    """
    client = tracker.client
    children = client.search_runs(
        [tracker.experiment_id], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'"
    )
    finished = [child for child in children if child.info.status == "FINISHED"]
    status = "FINISHED" if finished and len(finished) == len(children) else "FAILED"
    client.set_tag(run_id, "children", str(len(children)))
    measured = [child for child in finished if metric in child.data.metrics]
    client.set_terminated(run_id, status)
    if not measured:
        return ""
    sign = -1 if metric.endswith("loss") else 1
    best = max(measured, key=lambda child: sign * child.data.metrics[metric])
    value = best.data.metrics[metric]
    client.set_tag(run_id, "best_child", best.info.run_id)
    client.log_metric(run_id, metric, value)
    return f"  best of {len(children)} by {metric}: {best.info.run_name} {value:.4f}"
