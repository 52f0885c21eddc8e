"""Locks of runs: a process holds one as long as it works on a run.

The system frees a lock when its process ends, however it ends. A run that is still RUNNING though
its lock is free was killed, and is ended by the next command that opens the store.
"""

import hashlib
import secrets
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from asl.files import locked
from asl.terminal import printable
from asl.tracking.address import lock_folder

LOCK_TAG = "asl.lock"  # of a run: the name of its lock, which is held before the run is created
_SHARED = "@"  # in the file's name, before what tells the processes that share a run


def lock_name(run: Run | None) -> str:
    """The name of a run's lock; a new one for a run that is not created yet."""
    if run is None:
        return secrets.token_hex(8)
    name = run.data.tags.get(LOCK_TAG, run.info.run_id)  # the id, where it has no such tag
    # It names a file, and a stranger's tag may be any text.
    return name if name.isalnum() else hashlib.sha256(name.encode()).hexdigest()[:16]


@contextmanager
def run_lock(folder: Path, name: str, title: str = "", *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a run; its file stays where the block fails, since the run may not be ended.

    Args:
        folder: `lock_folder` of the store.
        name: `lock_name` of the run.
        title: what the user calls the run.
        shared: whether other processes may work on it, too.

    Raises:
        UserError: another process works on it.
    """
    file = folder / f"{name}{_SHARED}{secrets.token_hex(8)}" if shared else folder / name
    with locked(file, f"{title}: another process is at work on this run; wait until it ends"):
        yield
        file.unlink(missing_ok=True)


def end_killed_runs(client: MlflowClient, experiment_id: str, work: Path) -> None:
    """Mark the runs of killed processes of this machine as KILLED."""
    holders: dict[str, list[Path]] = defaultdict(list)
    for file in lock_folder(client.tracking_uri, experiment_id, work).glob("*"):
        holders[file.name.partition(_SHARED)[0]].append(file)
    for name, files in holders.items():
        # Busy: its process lives. Where the store cannot be written, a later command does it.
        with suppress(Timeout, OSError, MlflowException), ExitStack() as locks:
            for file in files:
                locks.enter_context(FileLock(file, blocking=False))
            for run in client.search_runs([experiment_id], f"tags.`{LOCK_TAG}` = '{name}'"):
                if run.info.status == "RUNNING":
                    client.set_terminated(run.info.run_id, "KILLED")
                    title = printable(run.info.run_name or run.info.run_id)
                    print(f"{title} had been killed, and is marked so now", file=sys.stderr)
            for file in files:
                file.unlink(missing_ok=True)
