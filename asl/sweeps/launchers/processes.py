"""Worker processes on this machine, which end with their parent."""

import contextlib
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from asl.workers import cores, serve_parent

_STOP_SECONDS = 60  # that a worker has to record an interruption


class Processes:
    """Processes that call the same function, each with its number as first argument."""

    def __init__(
        self, count: int, function: Callable[..., None], arguments: tuple[Any, ...], log: Path
    ) -> None:
        self._context = multiprocessing.get_context("spawn")
        call = pickle.dumps((function, arguments))
        self._arguments = (call, log, max(1, cores() // count))
        self._started = 0
        self._processes: list[BaseProcess] = []
        self.deaths = 0
        for _ in range(count):
            self._start()

    def running(self) -> bool:
        """Whether any is at work; one that died is restarted."""
        for process in list(self._processes):
            if process.exitcode is None:
                continue
            self._processes.remove(process)
            if process.exitcode != 0:
                self.deaths += 1
                self._start()
        return bool(self._processes)

    def wait(self, seconds: float) -> None:
        """Wait until one ends, so many seconds at most."""
        wait([p.sentinel for p in self._processes], timeout=seconds)

    def stop(self) -> None:
        """Have every worker record its trial as interrupted, and end."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_STOP_SECONDS)
            process.kill()

    def _start(self) -> None:
        process = self._context.Process(target=_begin, args=(self._started, *self._arguments))
        self._started += 1
        process.start()
        self._processes.append(process)


def interrupt_on_termination() -> None:
    """Have the first SIGTERM do what Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _begin(number: int, call: bytes, log: Path, threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before the call is unpickled, and imports torch
    serve_parent()
    interrupt_on_termination()
    log.parent.mkdir(parents=True, exist_ok=True)
    out = log.open("a", buffering=1, encoding="utf-8")
    os.dup2(out.fileno(), 1)
    os.dup2(out.fileno(), 2)
    function, arguments = pickle.loads(call)
    with contextlib.suppress(KeyboardInterrupt):
        function(number, *arguments)
