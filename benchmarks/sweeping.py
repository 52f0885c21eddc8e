"""What a sweep costs beside its training: `python -m benchmarks.sweeping`.

Short trials on generated clips, three ways: a sweep with one worker, one with two, and the same
values as one `asl train` process after the other. A trial's training is what its run says
(`fit_seconds`); a start-up is the time from a process's launch to its run, in `asl train`.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml

from asl.tracking.find import find_runs
from asl.tracking.found import FoundRun
from asl.tracking.store import open_tracker
from benchmarks.command import SMALL, options
from benchmarks.table import Row, below, machine, report

PACKAGES = ("torch", "pytorch-lightning", "mlflow", "optuna", "hydra-core")
ASL = (sys.executable, "-c", "from asl.cli import main; main()")
MODELS = ("bigru", "cnn")


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        epochs: of a trial.
        rates: learning rates; with each network there is a trial of each.
        data: overrides.
    """

    epochs: int
    rates: tuple[float, ...]
    data: tuple[str, ...]


class Measured(NamedTuple):
    """What a command took, and the runs that it made."""

    seconds: float
    began: float
    runs: list[FoundRun]

    @property
    def fitting(self) -> float:
        """Seconds of training, all runs together."""
        return sum(run.metrics["fit_seconds"] for run in self.runs)


FULL = Size(epochs=10, rates=(1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 8e-3), data=("data=synthetic",))
QUICK = Size(epochs=1, rates=(1e-3,), data=("data=synthetic", *SMALL))


def main() -> None:
    """Measure, print and write."""
    chosen = options("sweeping", __doc__).parse_args()
    size: Size = QUICK if chosen.quick else FULL
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        if chosen.quick:
            apart = (f"data.root={scratch}/raw", f"data.store={scratch}/store")
            size = size._replace(data=(*size.data, *apart))
        rows = _rows(size, Path(scratch))
    facts = {
        **machine(PACKAGES),
        "trials": f"{len(MODELS) * len(size.rates)} of {size.epochs} epochs, data=synthetic",
    }
    print(report(chosen.folder / "sweeping", "Sweeps, measured", facts, rows))
    print(f"written to {chosen.folder / 'sweeping'}.md and .json")


def _rows(size: Size, scratch: Path) -> list[Row]:
    _asl(scratch / "prepared", "prepare", *size.data)
    space = {"model": {"choices": list(MODELS)}, "optimizer.lr": {"choices": list(size.rates)}}
    settings = {"sampler": "grid", "pruner": "none", "final_seeds": 0, "space": space}
    described = {"defaults": ["base/settings@_here_", "_self_"], **settings}
    (scratch / "sweep").mkdir()
    (scratch / "sweep/bench.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    one, two = (_sweep(size, scratch, workers) for workers in (1, 2))
    separate = [
        _asl(scratch / f"{model}-{rate}", "train", f"model={model}", f"optimizer.lr={rate}",
             "test=false", *_common(size))
        for model, rate in itertools.product(MODELS, size.rates)
    ]  # fmt: skip
    start = statistics.median(run.runs[0].started / 1000 - run.began for run in separate)
    alone = sum(run.seconds for run in separate)
    share = (one.seconds - start) / one.fitting
    beside = (one.seconds - start - one.fitting) / len(one.runs)
    return [
        Row(f"a sweep of {len(one.runs)} trials, one worker, a start-up aside",
            one.seconds - start, "s", share, "{} the training", **below(1.25, share)),
        Row("… training, all trials together", one.fitting, "s"),
        Row("… a trial beside its training", beside, "s"),
        Row("… a start-up", start, "s"),
        Row("… two workers", two.seconds - start, "s",
            (one.seconds - start) / (two.seconds - start), "{} as fast"),
        Row("the same as separate `asl train`, start-ups and all", alone, "s",
            alone / one.seconds, "{} the sweep's"),
    ]  # fmt: skip


def _sweep(size: Size, scratch: Path, workers: int) -> Measured:
    folder = scratch / f"workers-{workers}"
    return _asl(
        folder, "sweep", "--config-dir", str(scratch), "sweep=bench", f"sweep.workers={workers}",
        f"sweep.storage=sqlite:///{folder}/optuna.db", *_common(size),
    )  # fmt: skip


def _common(size: Size) -> list[str]:
    return [*size.data, f"trainer.max_epochs={size.epochs}"]


def _asl(folder: Path, command: str, *arguments: str) -> Measured:
    """Run a command in a process of its own, its runs in a store of their own."""
    uri = f"sqlite:///{folder}/mlflow.db"
    runs = open_tracker({"uri": uri, "experiment": "asl"})  # the tables are not what is measured
    tracking = [] if command == "prepare" else [f"tracking.uri={uri}"]
    began, clock = time.time(), time.perf_counter()
    subprocess.run([*ASL, command, *arguments, *tracking], check=True, capture_output=True)
    seconds = time.perf_counter() - clock
    return Measured(seconds, began, [run for run in find_runs(runs) if run.is_training])


if __name__ == "__main__":
    main()
