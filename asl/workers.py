"""Worker processes: pools whose workers end with their parent, and cores to share among them.

Imports little, because worker processes import it and must start fast.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext, SpawnContext
from typing import Any

from asl.errors import UserError


class WorkerKilled(UserError):  # noqa: N818 - names what happened to the worker
    """A worker process of a pool was killed, by the kernel for its memory use, say."""


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def process_pool(
    workers: int,
    initializer: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
    *,
    threads: int | None = None,
    interruptible: bool = False,
    killed: str = "a worker process was killed, perhaps for memory",
    context: BaseContext | None = None,
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes that end when this process ends, killed or not.

    Tasks that have not started are cancelled when the block is left.

    Args:
        workers: number of processes.
        initializer: called once in each process, with `arguments`.
        arguments: of the initializer.
        threads: limit for torch and OpenMP in each process; their own default where None.
        interruptible: whether Ctrl-C raises KeyboardInterrupt in the workers, too, and SIGTERM
            SystemExit. If not, only this process handles them.
        killed: message of WorkerKilled.
        context: how processes start; spawned where None, since a process that is forked while
            other threads run (torch's, say) may hang.

    Raises:
        WorkerKilled: a worker died before its task ended.
    """
    setup = (threads, interruptible, initializer, arguments)
    with ProcessPoolExecutor(workers, context or SpawnContext(), _initialize, setup) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise WorkerKilled(killed) from error
        except SystemExit:  # of SIGTERM, which unlike Ctrl-C reaches this process alone
            for process in pool._processes.values() if interruptible else ():
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _initialize(
    threads: int | None,
    interruptible: bool,
    initializer: Callable[..., None] | None,
    arguments: tuple[Any, ...],
) -> None:
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read by libraries when they are loaded
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(threads)
    if interruptible:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        end_with_parent()
    else:
        serve_parent()
    if initializer is not None:
        initializer(*arguments)


def serve_parent() -> None:
    """Ignores Ctrl-C, which the parent handles, and ends this worker when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """Ends this worker when its parent ends, even killed; it would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(parent: int) -> None:
    wait([parent])
    os._exit(1)
