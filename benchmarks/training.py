"""The speed of training: `asl train` against a loop that does nothing else.  `make bench`.

The loop is PyTorch alone on the same batches, which lie in memory already: augmentation, forward,
loss, backward, gradient clipping, optimizer; no validation, no metrics, nothing kept. It takes
turns with `asl train`, epoch by epoch in one process, so what else the machine does slows both.
Keras's `fit` has its turns too, with the same layers on finished features: it neither augments nor
makes features. Figures are medians over epochs, the first one left out.
"""

import contextlib
import copy
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytorch_lightning as pl
import torch
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.profiler import ProfilerActivity, profile

from asl.cli import run
from asl.clips.datamodule import Batch, ClipBatches
from asl.evaluation.metrics import allow_nondeterministic
from asl.paths import raw_data
from asl.recognizer.recognizer import Recognizer
from asl.runs import train as training_run
from asl.tracking.logger import EpochLogger
from asl.training import module as training
from asl.training.augment import Augmentation
from asl.training.module import SignClassifier
from benchmarks.command import SMALL, options
from benchmarks.stopwatch import Stopwatch
from benchmarks.table import Row, at_least, machine, report

PACKAGES = ("numpy", "torch", "pytorch-lightning", "torchmetrics", "mlflow", "keras", "tensorflow")
IN_KERAS: dict[tuple[str, ...], str] = {("model=bigru",): "bigru", ("model=cnn",): "cnn"}
"""Overrides behind `data=` whose networks `benchmarks.keras_training` has."""
CHOICES = (
    ("data=words15", "model=cnn"),
    ("data=words15", "model=cnn", "regularization=strong"),
    ("data=words15", "model=bigru"),
    ("data=words15", "model=conv_transformer"),
    ("data=isl30", "model=cnn"),
)
ON_GPU = (("trainer=gpu",), ("trainer=bf16",), ("trainer=bf16", "trainer.compile=true"))
# What of an epoch of `asl train` is whose; `the rest` is Lightning's own.
METHODS = (
    (ClipBatches, "__getitem__", "loading"),
    (Augmentation, "forward", "augmentation"),
    (Recognizer, "steps", "features"),
    (EpochLogger, "log_metrics", "tracking"),
    (pl.Trainer, "save_checkpoint", "checkpoints"),
)
OWN_METHODS = (
    ("_forward_loss", "forward"),
    ("backward", "backward"),
    ("configure_gradient_clipping", "optimizer"),
    ("_update_metrics", "metrics"),
    ("_compute_metrics", "metrics"),
    ("validation_step", "validation"),
)


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        epochs: of `asl train` and of each loop, the first not counted.
        choices: overrides of `asl train`.
    """

    epochs: int
    choices: tuple[tuple[str, ...], ...]


FULL = Size(epochs=6, choices=CHOICES)
QUICK_CHOICE = ("data=synthetic", "model=cnn", "model.hidden=8", *SMALL)
QUICK = Size(
    epochs=2,
    choices=(
        QUICK_CHOICE,
        (*QUICK_CHOICE, "regularization=strong"),
        ("data=synthetic", "model=cnn", *SMALL),
    ),
)


def main() -> None:
    """Measure, print and write."""
    chosen = options("training", __doc__).parse_args()
    size: Size = QUICK if chosen.quick else FULL
    chosen.folder.mkdir(parents=True, exist_ok=True)

    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        apart = [f"data.root={scratch}/raw", f"data.store={scratch}/store"] if chosen.quick else []
        for choice in size.choices:
            for trainer in ((), *(ON_GPU if torch.cuda.is_available() else ())):
                named = [_here(choice[0]), *choice[1:], *trainer]
                print(" ".join(named), flush=True)
                turns = train([*named, *apart], size.epochs, Path(scratch), _in_keras(choice))
                rows += _rows(turns, named)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    facts = {
        **machine(PACKAGES),
        "threads": torch.get_num_threads(),
        "GPU": gpu or "none, so bfloat16 and torch.compile are not measured",
        "the loop": "the same batches in memory, the same recognizer, augmentation, loss, gradient "
        "clipping and optimizer; no validation, no metrics, nothing kept",
        "figures": f"medians of {size.epochs - 1} whole epochs; clips are training clips",
    }
    print(report(chosen.folder / "training", "Training, measured", facts, rows))
    print(f"written to {chosen.folder / 'training'}.md and {chosen.folder / 'training'}.json")


def _here(data: str) -> str:
    """A set of real clips where it is on this machine, else generated ones."""
    return data if Path(raw_data(data.removeprefix("data="))).exists() else "data=synthetic"


def _in_keras(choice: Sequence[str]) -> str | None:
    """The model whose layers Keras has, too, where nothing else of the network is chosen."""
    return IN_KERAS.get(tuple(word for word in choice[1:] if word not in SMALL))


def _rows(turns: "Turns", overrides: Sequence[str]) -> Iterator[Row]:
    rates = {
        name: turns.clips / statistics.median(seconds[1:]) for name, seconds in turns.taken.items()
    }
    most_first = sorted(turns.watch.seconds.items(), key=lambda part: -part[1])
    whole = sum(turns.watch.seconds.values())
    shares = {part: seconds / whole for part, seconds in most_first}
    speed, says = turns.ratio("loop", "asl"), "{} the loop"
    what = f"`asl train {' '.join(word for word in overrides if word not in SMALL)}`"
    yield Row(what, rates["asl"], "clips/s", speed, says, **at_least(0.85, speed))
    if turns.keras is not None:
        faster = turns.ratio("keras", "asl")
        what = f"… Keras's `fit` of {turns.keras.parameters:,} parameters"
        yield Row(what, rates["keras"], "clips/s", faster, "`asl train` is {} as fast")
    aside = 1 / (1 - shares.get("validation", 0))
    yield Row("… its validation clips aside", aside * rates["asl"], "clips/s", aside * speed, says)
    yield Row("… the loop", rates["loop"], "clips/s")
    plain, says = turns.ratio("loop", "plain"), "{} with augmentation"
    yield Row("… the loop without augmentation", rates["plain"], "clips/s", plain, says)
    if turns.busy is not None:
        yield Row("… the GPU's utilisation by `asl train`", 100 * turns.busy, "%")
        return  # a GPU works while the stopwatch sees others
    for part, share in shares.items():
        yield Row(f"… an epoch's share: {part}", 100 * share, "%")


def train(
    overrides: Sequence[str], epochs: int, scratch: Path, in_keras: str | None = None
) -> "Turns":
    """What `asl train` with these overrides takes for an epoch, and what the loops take.

    Args:
        overrides: as typed.
        epochs: of each.
        scratch: a folder for files.
        in_keras: the model whose layers Keras trains beside it.
    """
    turns, said = Turns(epochs), io.StringIO()
    timed = [
        *METHODS,
        *((training, name, "mixing") for name in ("join_clips", "swap_hands", "mixup")),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name, part in timed:
            act = turns.watch.timed(part, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, act))
        stack.enter_context(patch.object(training_run, "SignClassifier", partial(Watched, turns)))
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        stack.enter_context(contextlib.suppress(SystemExit))
        if in_keras:
            turns.keras = stack.enter_context(Keras(in_keras, scratch))
        run(["train", *overrides, f"tracking.uri=sqlite:///{scratch}/mlflow.db"])
    if len(turns.taken["asl"]) < epochs:
        raise RuntimeError(said.getvalue())
    return turns


class Turns:
    """An epoch of `asl train`, an epoch of each loop, and again.

    Attributes:
        taken: seconds of each epoch by contestant.
        clips: training clips an epoch.
        watch: where the time of `asl train` goes, its first epoch left out.
        busy: share of an epoch of `asl train` in which the GPU works; None without one.
        keras: has its turns too, where it is not None.
    """

    def __init__(self, epochs: int) -> None:
        self.watch = Stopwatch()
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.clips = 0
        self.busy: float | None = None
        self.keras: Keras | None = None
        self._left = epochs
        self._loops: dict[str, Loop | Keras] = {}
        self._began = 0.0
        self._profile: profile | None = None

    def ratio(self, name: str, other: str) -> float:
        """The one's seconds over the other's: the median over neighbours in time."""
        pairs = zip(self.taken[name][1:], self.taken[other][1:], strict=True)
        return statistics.median(mine / others for mine, others in pairs)

    def take(self, classifier: SignClassifier) -> None:
        """Between two epochs of `asl train`: end the one, let the loops run, start the other."""
        now = _now()
        if self._profile is not None:
            self._profile.stop()
            events = self._profile.key_averages()
            busy = sum(event.self_device_time_total for event in events) / 1e6
            self.busy = busy / (now - self._began)
            raise SystemExit
        if not self._loops:
            self._prepare(classifier)
        else:
            self.watch.stop()
            self.taken["asl"].append(now - self._began)
        if not self._left:
            if not torch.cuda.is_available():
                raise SystemExit  # as Control-C: what comes after does not matter here
            self._profile = profile(activities=[ProfilerActivity.CUDA])
            self._profile.start()
        else:
            self._left -= 1
            for name, loop in self._loops.items():
                self.taken[name].append(loop.epoch())
            if self.taken["asl"]:
                self.watch.start()
        self._began = _now()

    def _prepare(self, classifier: SignClassifier) -> None:
        data: Any = classifier.trainer.datamodule  # type: ignore[attr-defined]
        batches = [
            Batch(*(part.to(classifier.device) for part in batch))
            for batch in data.train_dataloader()
        ]
        self.clips = len(data.split.train)
        self._loops = {
            "loop": Loop(classifier, batches, classifier.augment),
            "plain": Loop(classifier, batches, lambda clips, lengths: (clips, lengths)),
        }
        if self.keras is not None:
            self.keras.start(classifier.recognizer, batches)
            self._loops["keras"] = self.keras


class Loop:
    """Trains a copy of the recognizer, and nothing else."""

    def __init__(
        self, classifier: SignClassifier, batches: list[Batch], augment: training.Augment
    ) -> None:
        self.recognizer = copy.deepcopy(classifier.recognizer).train()
        if classifier.recognizer.backbone._compiled_call_impl is not None:
            self.recognizer.backbone.compile()
        self.batches, self.augment = batches, augment
        steps = int(classifier.trainer.estimated_stepping_batches)
        parameters = self.recognizer.parameters()
        self.optimizer, self.schedule = classifier.make_optimizer(parameters, steps)
        self.smoothing = classifier.regularization.label_smoothing
        self.clip = classifier.trainer.gradient_clip_val
        self.precision = classifier.trainer.precision_plugin

    def epoch(self) -> float:
        """Its seconds."""
        began = _now()
        with allow_nondeterministic():
            for batch in self.batches:
                clips, lengths = self.augment(batch.clips, batch.lengths)
                with self.precision.forward_context():
                    logits = self.recognizer(clips, lengths)
                    loss = F.cross_entropy(logits, batch.signs, label_smoothing=self.smoothing)
                self.optimizer.zero_grad()
                loss.backward()
                if self.clip:
                    clip_grad_norm_(self.recognizer.parameters(), self.clip)
                self.optimizer.step()
                self.schedule.step()
        return _now() - began


class Keras:
    """Trains the same layers in a process of its own, on features that lie in memory.

    Attributes:
        parameters: of these layers.
    """

    def __init__(self, model: str, scratch: Path) -> None:
        self._model, self._file = model, scratch / f"{model}.npz"
        self._process: subprocess.Popen[str] | None = None
        self.parameters = 0

    def __enter__(self) -> "Keras":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()

    def start(self, recognizer: Recognizer, batches: Sequence[Batch]) -> None:
        """Make the features of all clips, filled with zeros to one length, and its network."""
        self.parameters = sum(weight.numel() for weight in recognizer.parameters())
        with torch.inference_mode():
            steps = [recognizer.steps(batch.clips, batch.lengths)[0] for batch in batches]
        longest = max(part.shape[1] for part in steps)
        filled = [F.pad(part, (0, 0, 0, longest - part.shape[1])) for part in steps]
        signs = torch.cat([batch.signs for batch in batches])
        np.savez(self._file, x=torch.cat(filled).cpu().numpy(), y=signs.cpu().numpy())
        module = [sys.executable, "-m", "benchmarks.keras_training"]
        self._process = subprocess.Popen(
            [*module, str(self._file), self._model, str(len(batches[0].signs))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
        )  # fmt: skip
        theirs = int(self._answer())
        if theirs != self.parameters:
            raise RuntimeError(f"Keras trains {theirs:,} parameters, we {self.parameters:,}")

    def epoch(self) -> float:
        """Its seconds."""
        return float(self._answer("\n"))

    def _answer(self, line: str = "") -> str:
        """What it prints, after this line."""
        if self._process is None or not self._process.stdin or not self._process.stdout:
            raise RuntimeError("Keras was not started")
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return self._process.stdout.readline()


class Watched(SignClassifier):
    """A classifier that runs the loops between its epochs, and times its own methods."""

    def __init__(self, turns: Turns, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._turns = turns
        for name, part in OWN_METHODS:
            setattr(self, name, turns.watch.timed(part, getattr(self, name)))

    def on_train_epoch_start(self) -> None:
        """Comes after all else that happens between two epochs."""
        self._turns.take(self)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """The optimizer itself calls the closure, in which all else of the step happens."""
        watch = self._turns.watch
        closure = watch.timed("the rest", optimizer_closure)
        watch.timed("optimizer", optimizer.step)(closure=closure)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
