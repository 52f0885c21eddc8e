"""A multirun (`-m`) in MLflow: what its parent run records of its jobs."""

import json
from dataclasses import asdict, dataclass

from asl.tracking.find import children
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker

JOB = "job."  # and its number: the tag that holds a job's result


@dataclass(frozen=True)
class JobResult:
    """The result of a job.

    Attributes:
        number: of the job, from 0.
        overrides: its own and those of all jobs.
        run_id: of its finished run, None where it failed.
        failure: why it failed.
    """

    number: int
    overrides: list[str]
    run_id: str | None = None
    failure: str | None = None


def forget_jobs(run: TrackedRun) -> None:
    """Remove the results that an interrupted multirun recorded; its jobs record them again."""
    for tag in run.client.get_run(run.id).data.tags:
        if tag.startswith(JOB):
            run.client.delete_tag(run.id, tag)


def record_job(tracker: Tracker, multirun: str, job: JobResult) -> None:
    """Record a job's result on the parent."""
    tracker.client.set_tag(multirun, f"{JOB}{job.number}", json.dumps(asdict(job)))


def job_results(run: TrackedRun) -> list[JobResult]:
    """The results of the jobs that have ended, in their order."""
    tags = run.client.get_run(run.id).data.tags
    jobs = [JobResult(**json.loads(value)) for tag, value in tags.items() if tag.startswith(JOB)]
    return sorted(jobs, key=lambda job: job.number)


def record_best(tracker: Tracker, run_id: str, metric: str) -> str:
    """Record on the parent which of its children is the best, and return it as it is printed.

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
