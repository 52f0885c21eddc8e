"""asl crossval -m: a cross-validation for every job, and what they say beside each other.

A multirun is found again by its overrides: what is finished under its run in MLflow is taken as it
is, and the rest is done.
"""

import shlex
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from asl.commands.multirun import Multirun
from asl.commands.train import NOT_A_CHOICE
from asl.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from filelock import FileLock

    from asl.tracking.find import FoundRun
    from asl.tracking.multirun import Job
    from asl.tracking.store import Tracker

MOST_OF_A_FAILURE = 300


class Comparison(Multirun):
    """A multirun of cross-validations: one MLflow run, new or found again, that ends in tables."""

    def opened(self, config: DictConfig) -> "tuple[str, FileLock]":
        """The unfinished run of the same jobs, or a new one."""
        from asl.config import PROJECT
        from asl.tracking.multirun import reopen_parent
        from asl.tracking.record import provenance_tags

        self.overrides = _choosing(config.hydra.overrides.task)
        return reopen_parent(self.tracker, self.overrides, provenance_tags(PROJECT))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Compare the jobs' results, print and record them, and close the parent."""
        from asl.tracking.comparison import record_comparison
        from asl.tracking.multirun import jobs_of
        from asl.tracking.run import TrackedRun

        client = self.tracker.client
        name = client.get_run(self.run_id).info.run_name or ""
        jobs = jobs_of(self.tracker, self.run_id)
        tables = _tables(self.tracker, [job for job in jobs if job.run_id])
        text = _text(tables, f"asl crossval -m {shlex.join(self.overrides)}")
        if tables:
            run = TrackedRun(client, self.run_id, name, self.tracker.work / self.run_id)
            record_comparison(run, tables, text)
            print(text)
        failed = [job for job in jobs if job.failure]
        self.close("FAILED" if failed else "FINISHED")
        for job in failed:
            print(f"job {job.number} ({_shown(job.overrides)}) FAILED: {job.failure}")
        if failed:
            sys.exit(
                f"asl crossval: {len(failed)} of {len(jobs)} jobs failed; "
                "the same command tries them again and takes the others as they are"
            )
        print(f"comparison: {name}  id: {self.run_id}  (tables and picture: asl ui)")


def carry_out(
    crossval: Callable[[DictConfig, str | None], str], cfg: DictConfig, multirun: str
) -> None:
    """Do a cross-validation as a job of a multirun, which goes on where it fails.

    Args:
        crossval: does it under a parent and gives its run's id.
        cfg: the job's.
        multirun: id of the parent.
    """
    from asl.commands.parts import tracker
    from asl.tracking.multirun import Job, record_job

    runs, hydra = tracker(cfg.tracking), HydraConfig.get()
    number, overrides = hydra.job.num, _choosing(hydra.overrides.task)
    try:
        job = Job(number, overrides, run_id=crossval(cfg, multirun))
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        failure = f"{type(error).__name__}: " * (not isinstance(error, UserError)) + str(error)
        job = Job(number, overrides, failure=failure[:MOST_OF_A_FAILURE])
        print(f"job {number} FAILED: {failure}", file=sys.stderr)
    record_job(runs, multirun, job)


def _choosing(overrides: Sequence[str]) -> list[str]:
    """The overrides but for those by which no result differs."""
    passed_over = (*NOT_A_CHOICE, "workers=", "resume=")
    return [override for override in overrides if not override.startswith(passed_over)]


# --- what they say beside each other ------------------------------------------------------------


def _tables(runs: "Tracker", jobs: "Sequence[Job]") -> "dict[str, pd.DataFrame]":
    """A comparison by title: of the cross-validations on the same clips."""
    from asl.tracking.find import find_run

    by_clips = defaultdict(list)
    for job in jobs:
        run = find_run(runs, str(job.run_id))
        by_clips[run.data, run.tags["data.fingerprint"]].append((job, run))
    names = [data for data, _ in by_clips]
    tables = {}
    for (data, fingerprint), members in by_clips.items():
        protocols = dict.fromkeys(
            f"{run.split}; validation: {run.tags['val_protocol']}" for _, run in members
        )
        packing = f" ({fingerprint[:8]})" if names.count(data) > 1 else ""
        tables[f"{data}{packing}, {' | '.join(protocols)}"] = _table(runs, members)
    return tables


def _table(runs: "Tracker", members: "Sequence[tuple[Job, FoundRun]]") -> "pd.DataFrame":
    import pandas as pd

    from asl.evaluation.crossval import comparison
    from asl.tracking.find import download

    files = [download(runs, run.run_id, "folds.csv") for _, run in members]
    table = comparison([pd.read_csv(file, dtype={"signers": str}) for file in files])
    shared = set.intersection(*(set(job.overrides) for job, _ in members))
    own = [_shown([o for o in job.overrides if o not in shared]) for job, _ in members]
    studies = [run.params.get("experiment") or run.params["model"] for _, run in members]
    table.insert(0, "job", [name or study for name, study in zip(own, studies, strict=True)])
    table["overrides"] = [shlex.join(job.overrides) for job, _ in members]
    table["run_id"] = [run.run_id for _, run in members]
    return table


def _shown(overrides: Sequence[str]) -> str:
    """Overrides as a name; a study's own name says all."""
    return " ".join(o.lstrip("+").removeprefix("experiment=") for o in overrides)


def _text(tables: "Mapping[str, pd.DataFrame]", command: str) -> str:
    from asl.tracking.comparison import markdown

    parts = [f"{title}:\n\n{markdown(table)}" for title, table in tables.items()]
    meaning = (
        "Accuracy is the mean over folds and seeds, ± the standard deviation over seeds of the "
        "mean over folds. A difference is the mean over pairs of runs with the same test signers "
        "and seed, ± its standard error."
    )
    return "\n\n".join([*parts, meaning, f"    {command}"]) + "\n"
