"""What has to be measured in a process of its own; `python -m benchmarks.processes`."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
Measured = dict[str, float]


def in_own_process(task: str, **given: Any) -> Measured:
    """What a task of this file measures in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.processes", task, json.dumps(given)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    try:
        found: Measured = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(f"{task} failed:\n{done.stdout}\n{done.stderr}") from None
    return found


def prepare(root: str, store: str, workers: int) -> Measured:
    """Clips, seconds, and the most memory of this process and of its largest worker, in bytes."""
    from asl.clips.prepare import prepare
    from asl.clips.sources.gislr import GislrSource

    with _memory() as most:
        began = time.perf_counter()
        made = prepare(
            GislrSource(root), store, dtype="float16", workers=workers, echo=lambda line: None
        )
        seconds = time.perf_counter() - began
    return {"clips": len(made), "seconds": seconds, **most}


@contextmanager
def _memory() -> Iterator[Measured]:
    """Watches resident memory, often enough for what grows over seconds."""
    import psutil

    most = {"memory": 0.0, "worker_memory": 0.0}
    over, own = threading.Event(), psutil.Process()

    def watch() -> None:
        while not over.wait(0.05):
            most["memory"] = max(most["memory"], own.memory_info().rss)
            for child in own.children(recursive=True):
                with suppress(psutil.Error):
                    most["worker_memory"] = max(most["worker_memory"], child.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        over.set()
        watcher.join()


def train(steps: int, overrides: list[str]) -> Measured:
    """What happens between the launch of `asl train` and some steps later.

    Returns:
        Seconds of the imports; from then to the first training step; per step, the first tenth
        left out; and per step of loading.
    """
    began = time.perf_counter()
    import asl.commands.train
    import asl.config.plan
    import asl.runs.train  # noqa: F401
    from asl.cli import run
    from asl.clips.datamodule import ClipBatches
    from asl.training.module import SignClassifier

    imported = time.perf_counter()
    starts: list[float] = []
    loads: list[float] = []
    load, step = ClipBatches.__getitem__, SignClassifier.training_step

    def timed_load(self: Any, index: Any) -> Any:
        start = time.perf_counter()
        batch = load(self, index)
        loads.append(time.perf_counter() - start)
        return batch

    def timed_step(self: Any, batch: Any, number: int) -> Any:
        starts.append(time.perf_counter())
        if len(starts) > steps:
            raise SystemExit  # as Control-C: what comes after does not matter here
        return step(self, batch, number)

    ClipBatches.__getitem__ = timed_load  # type: ignore[method-assign]
    SignClassifier.training_step = timed_step  # type: ignore[assignment, method-assign]
    with suppress(SystemExit):
        run(["train", *overrides, "trainer.enable_progress_bar=false", "data.workers=0"])
    first = steps // 10
    # The loader is one batch ahead of the steps.
    return {
        "imports": imported - began,
        "to_first_step": starts[0] - imported,
        "step": (starts[steps] - starts[first]) / (steps - first),
        "loading": sum(loads[-(steps - first) :]) / (steps - first),
    }


TASKS: dict[str, Callable[..., Measured]] = {"prepare": prepare, "train": train}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](**json.loads(sys.argv[2]))))
