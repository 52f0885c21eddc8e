"""Hydra's hooks round a multirun (`-m`): one MLflow run above those of the jobs.

Hydra calls no hook where a job failed or Ctrl-C was pressed, so the command wraps itself in
`finalize_on_exit`.
"""

import os
import shlex
import sys
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from asl.addresses import without_passwords
from asl.config.compose import plain
from asl.config.overrides import parse_overrides, with_former_names
from asl.errors import UserError
from asl.runs.compare import compare_crossvals, job_title
from asl.runs.plan import NOT_A_CHOICE, digest
from asl.terminal import printable
from asl.tracking.group import group_run
from asl.tracking.multirun import forget_jobs, job_results, record_jobs
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker, open_tracker
from asl.tracking.tags import provenance_tags, without_addresses

PARENT = "ASL_PARENT_RUN"  # environment variable: the multirun's id, for jobs in other processes

_open: "list[Multirun]" = []  # Hydra keeps its callbacks to itself


class Multirun(Callback):
    """Opens a run for the multirun, and closes it however the multirun ends."""

    tracker: Tracker
    run: TrackedRun
    overrides: list[str]
    data: str  # names of the data sets
    # Of all that decides the jobs' results; None where every multirun is a new one.
    digests: Sequence[str] = ()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the run and tell the jobs its id."""
        try:
            self.tracker = open_tracker(plain(config.tracking))
            config.tracking.uri = without_passwords(config.tracking.uri)  # as Hydra writes it
            self.prepare(config)
            self.data = _data_sets(config, self.overrides)
            self._stack = ExitStack()
            self.run = self._stack.enter_context(self._group())
        except UserError as mistake:  # Hydra makes a mere warning of what a callback raises
            sentence = f"asl {config.hydra.job.config_name}: {mistake}"
            print(without_passwords(sentence), file=sys.stderr)
            sys.exit(2)
        os.environ[PARENT] = self.run.id
        _open.append(self)
        forget_jobs(self.run)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Conclude and close the run; exits with 1 where that fails it."""
        failure = self.conclude()
        if failure:
            self.close(UserError, UserError(failure), None)
            sys.exit(f"asl {config.hydra.job.config_name}: {failure}")
        self.close(None, None, None)

    @abstractmethod
    def prepare(self, config: DictConfig) -> None:
        """Read what the run is about: `overrides` and `digests`."""

    @abstractmethod
    def conclude(self) -> str | None:
        """Record and print the jobs' results; returns why the multirun failed, if it did."""

    def close(self, *exception: Any) -> None:
        """Close the run, as failed or killed where there is an exception."""
        _open.remove(self)
        del os.environ[PARENT]
        self._stack.__exit__(*exception)

    def _group(self) -> Any:
        varied = [o for o in parse_overrides(self.overrides) if isinstance(o.value, list)]
        name = "-".join(["compare", *(o.key.rpartition(".")[2] for o in varied), self.data])
        tags = {"overrides": " ".join(self.overrides), "data": self.data, **provenance_tags()}
        return group_run(self.tracker, "multirun", name, tags, self.digests)


class TrainMultirun(Multirun):
    """A multirun of trainings: its run names the best of its children."""

    def prepare(self, config: DictConfig) -> None:
        """A multirun of trainings is always a new one."""
        self._monitor = config.monitor
        self.overrides = without_addresses(config.hydra.overrides.task)

    def conclude(self) -> None:
        """All is recorded in `close`, which is called after failed jobs too."""

    def close(self, *exception: Any) -> None:
        """Record the best child, and close the run."""
        best = record_jobs(self.tracker, self.run, self._monitor)
        super().close(*exception)
        print(f"multirun: {self.run.id}{best}  (compare: asl ui)")


class CrossvalMultirun(Multirun):
    """A multirun of cross-validations: found again if unfinished; ends in comparison tables."""

    def prepare(self, config: DictConfig) -> None:
        """The overrides that decide the jobs' results tell one such multirun from another."""
        self.overrides = result_overrides(config.hydra.overrides.task)
        self.digests = multirun_digests(self.overrides)

    def conclude(self) -> str | None:
        """Compare the jobs' results."""
        jobs = job_results(self.run)
        command = f"asl crossval -m {shlex.join(self.overrides)}"
        comparison = compare_crossvals(self.tracker, jobs, command, self.run)
        if comparison.tables:
            print(printable(comparison.text))
        failed = [job for job in jobs if job.failure]
        for job in failed:
            what = f"job {job.number} ({job_title(job.overrides)}) FAILED: {job.failure}"
            print(printable(what))
        if failed:
            return (
                f"{len(failed)} of {len(jobs)} jobs failed; "
                "the same command tries them again and takes the others as they are"
            )
        print(f"comparison: {self.run.name}  id: {self.run.id}  (tables and figure: asl ui)")
        return None


def _data_sets(config: DictConfig, overrides: Sequence[str]) -> str:
    """Names of the data sets of a multirun's jobs, joined by `+`."""
    for override in parse_overrides(overrides):
        if override.key == "data":
            values = override.value if isinstance(override.value, list) else [override.value]
            return "+".join(map(str, values))
    return str(config.hydra.runtime.choices.data)


def multirun_digests(overrides: Sequence[str]) -> tuple[str, str]:
    """Digests by which an unfinished multirun is found: this version's, and that of 0.1."""
    return digest(sorted(overrides)), digest(sorted(with_former_names(overrides)))


def result_overrides(texts: Sequence[str]) -> list[str]:
    """The overrides that can change a result."""
    irrelevant = (*NOT_A_CHOICE, "workers", "hydra")
    return [o.text for o in parse_overrides(texts) if not o.below(irrelevant)]


@contextmanager
def finalize_on_exit() -> Iterator[None]:
    """Close a multirun's run when a job failed or Ctrl-C was pressed, as Hydra does not."""
    try:
        yield
    except BaseException:
        for multirun in list(_open):
            multirun.close(*sys.exc_info())
        raise
    for multirun in list(_open):  # Hydra swallowed what ended the jobs
        multirun.close(UserError, UserError("the multirun ended before all of its jobs did"), None)


def parent_run() -> str | None:
    """The id of the multirun whose job runs in this process; None outside a multirun."""
    return os.environ.get(PARENT)


def multirun_job(cfg: DictConfig) -> tuple[int, list[str]]:
    """The number of a multirun's job, and its overrides that can change a result."""
    return cfg.hydra.job.num, result_overrides(cfg.hydra.overrides.task)
