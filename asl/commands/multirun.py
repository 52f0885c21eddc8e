"""Hydra's hook round a multirun (`-m`): one MLflow run above the jobs', which gets its end.

Hydra itself tells of an end only where no job failed and nobody pressed Ctrl-C.
"""

import os
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from asl.errors import UserError

if TYPE_CHECKING:
    from filelock import FileLock

    from asl.tracking.store import Tracker

PARENT = "ASL_PARENT_RUN"  # its id, for jobs in processes of their own

_begun: "list[Multirun]" = []  # Hydra keeps its callbacks to itself


class Multirun(Callback):
    """The run above the jobs'; each command says which it is, and how it ends."""

    tracker: "Tracker"
    run_id: str
    _lock: "FileLock"

    @abstractmethod
    def opened(self, config: DictConfig) -> "tuple[str, FileLock]":
        """The run's id, and the lock that is held for as long as its process lives."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the run and tell the jobs of it."""
        from asl.commands.parts import tracker

        try:
            self.tracker = tracker(config.tracking)
            self.run_id, self._lock = self.opened(config)
        except UserError as mistake:  # Hydra makes but a warning of what a callback raises
            print(f"asl {config.hydra.job.config_name}: {mistake}", file=sys.stderr)
            sys.exit(2)
        os.environ[PARENT] = self.run_id
        _begun.append(self)

    def close(self, status: str) -> None:
        """Give the run its end."""
        _begun.remove(self)
        del os.environ[PARENT]
        self.tracker.client.set_terminated(self.run_id, status)
        self._lock.release()


@contextmanager
def ended_in_any_case() -> Iterator[None]:
    """Gives a multirun its end where Hydra did not: a job failed, or Ctrl-C."""
    status = "FAILED"
    try:
        yield
    except Exception:
        raise
    except BaseException:  # KeyboardInterrupt, or the SystemExit that Lightning makes of it
        status = "KILLED"
        raise
    finally:
        for multirun in list(_begun):
            multirun.close(status)
