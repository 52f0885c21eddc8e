"""A multirun (`-m`) in MLflow: what its parent run records of its jobs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev

from asl.tracking.curves import record_mean_curves
from asl.tracking.descriptions import jobs_description, record_description
from asl.tracking.find import children
from asl.tracking.found import FoundRun
from asl.tracking.inputs import copy_inputs
from asl.tracking.ranking import rank
from asl.tracking.record import log_metrics, record_params
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker

_LONGEST = 250  # characters of a parameter in the run table
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


def record_jobs(tracker: Tracker, run: TrackedRun, metric: str) -> str:
    """Record on the parent what its trainings have shown, and the best of them.

    Where they differ in the seed alone, their mean metrics and curves are recorded too.

    Args:
        tracker: the store.
        run: the parent.
        metric: of the validation, by which the best is chosen, never by test numbers; and only
            where the trainings have one protocol.

    Returns:
        The best one, as it is printed.
    """
    jobs = children(tracker, run.id)
    run.client.set_tag(run.id, "children", str(len(jobs)))
    finished = [job for job in jobs if job.status == "FINISHED"]
    record_params(run, _params(finished))
    means: dict[str, float] = {}
    if _differ_in_seed_alone(finished):
        means = _means(finished)
        record_mean_curves(tracker, run, [job.run_id for job in finished])
    measured = [job for job in finished if metric in job.metrics and not job.diverged]
    if not measured:
        return ""
    if len({job.comparable for job in measured}) > 1:
        return f"  no best of {len(jobs)}: they have different clips or protocols"
    best = min(measured, key=lambda job: rank(job.metrics, [metric]))
    run.client.set_tag(run.id, "best_child", best.run_id)
    log_metrics(run, {metric: best.metrics[metric]} | means)
    copy_inputs(tracker, best.run_id, run)
    record_description(run, jobs_description(measured, metric, best))
    return f"  best of {len(jobs)} by {metric}: {best.name} {best.metrics[metric]:.4f}"


def _params(jobs: Sequence[FoundRun]) -> dict[str, str]:
    """The jobs' parameters; of one in which they differ, all its values: `bigru, cnn`."""
    names = {name for job in jobs for name in job.params}
    values = {n: dict.fromkeys(job.params[n] for job in jobs if n in job.params) for n in names}
    return {name: ", ".join(values[name])[:_LONGEST] for name in sorted(names)}


def _differ_in_seed_alone(jobs: Sequence[FoundRun]) -> bool:
    choices = [{k: v for k, v in job.params.items() if k != "seed"} for job in jobs]
    seeds = {job.params.get("seed") for job in jobs}
    return len(seeds) == len(jobs) > 1 and all(each == choices[0] for each in choices)


def _means(jobs: Sequence[FoundRun]) -> dict[str, float]:
    """Mean and deviation over seeds of the metrics of validation and test that all have."""
    names = set.intersection(*(set(job.metrics) for job in jobs))
    figures: dict[str, float] = {}
    for name in sorted(n for n in names if n.startswith(("val/", "test/"))):
        values = [job.metrics[name] for job in jobs]
        figures |= {name: mean(values), f"{name}_std_seeds": stdev(values)}
    return figures
