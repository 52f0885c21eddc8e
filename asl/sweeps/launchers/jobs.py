"""Workers as jobs of a cluster, submitted through submitit."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import submitit

from asl.errors import UserError, first_line
from asl.sweeps.launchers.processes import interrupt_on_termination

_POLL_SECONDS = 5  # between looks at the queue
_DEFAULTS = {"name": "asl-sweep", "timeout_min": 24 * 60}  # submitit's own limit is 5 minutes


class Jobs:
    """Jobs that call the same function, each with its number as first argument."""

    def __init__(
        self,
        cluster: Literal["slurm", "local"],
        options: Mapping[str, Any],
        count: int,
        function: Callable[..., None],
        arguments: tuple[Any, ...],
        folder: Path,
    ) -> None:
        """Submit the jobs.

        Args:
            cluster: `local` runs them on this machine as submitit would on a cluster.
            options: of submitit's executor, `timeout_min`, `slurm_partition` and the like.
            count: number of jobs.
            function: called in each.
            arguments: of the function, after the job's number.
            folder: for the jobs' output; all machines must reach it.

        Raises:
            UserError: there is no such cluster here, or no such option.
        """
        self.deaths = 0
        self._call = (function, arguments)
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            self._executor.update_parameters(**{**_DEFAULTS, **options})
            self._jobs = [self._submit(number) for number in range(count)]
        except (RuntimeError, NameError, TypeError, ValueError, OSError) as error:
            key = "sweep.launcher_options" if isinstance(error, NameError) else "sweep.launcher"
            raise UserError(f"{key}: {first_line(error)}") from None
        self._started = count

    def running(self) -> bool:
        """Whether any is queued or running; one that died is submitted again."""
        for job in list(self._jobs):
            if not job.done():
                continue
            self._jobs.remove(job)
            if job.exception() is not None:
                self.deaths += 1
                self._jobs.append(self._submit(self._started))
                self._started += 1
        return bool(self._jobs)

    def wait(self, seconds: float) -> None:
        """Wait before the next look; a cluster's queue should not be polled often."""
        time.sleep(max(seconds, _POLL_SECONDS))

    def stop(self) -> None:
        """Cancel the jobs; running workers record their trials as interrupted."""
        for job in self._jobs:
            with contextlib.suppress(OSError, RuntimeError):
                job.cancel(check=False)

    def _submit(self, number: int) -> "submitit.Job[None]":
        function, arguments = self._call
        return self._executor.submit(_begin, number, function, arguments)


def _begin(number: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    interrupt_on_termination()
    with contextlib.suppress(KeyboardInterrupt):
        function(number, *arguments)
