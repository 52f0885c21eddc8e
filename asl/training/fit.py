"""Lightning trains: which epoch is kept, when it stops, how it goes on after a pulled plug."""

import logging
import random
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor

from asl.clips.datamodule import ClipDataModule
from asl.errors import UserError
from asl.training.module import SignClassifier
from asl.training.progress import EpochLines

InGracePeriod = Callable[[int], bool]
AfterEpoch = Callable[[int, Mapping[str, float]], None]


class Pruned(Exception):  # noqa: N818 - no error
    """Raised by `after_epoch`: training on is hopeless; the message says why."""


class FitResult(NamedTuple):
    """What training leaves: the kept checkpoint, its epoch, how many epochs ran, seconds."""

    checkpoint: Path
    kept_epoch: int
    epochs: int
    seconds: float


class RandomState(Callback):
    """Keeps the random generators in checkpoints: a resumed run draws what it would have drawn."""

    def __init__(self) -> None:
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The generators' states as plain values and tensors."""
        version, numbers, gauss = random.getstate()
        kind, keys, *rest = np.random.get_state(legacy=True)
        state = {
            "torch": torch.get_rng_state(),
            "python": [version, list(numbers), gauss],
            "numpy": [kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        }
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state_all()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the states; set-up after loading may still draw numbers."""
        self._restored = state_dict

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the generators back to where the checkpoint left them."""
        if self._restored is None:
            return
        state, self._restored = self._restored, None
        torch.set_rng_state(state["torch"].cpu())
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best epoch, and of equally good ones the latest; never one that is still in_grace_period.

    A small validation set is soon recognised without a fault; what training still does after that,
    at a falling rate, is not to be thrown away.

    Args:
        in_grace_period: whether validation says nothing of the run at an epoch.
        arguments: Lightning's own.
    """

    def __init__(self, in_grace_period: InGracePeriod, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._in_grace_period = in_grace_period

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Whether an epoch's value is to be kept."""
        if self._in_grace_period(trainer.current_epoch):
            return False
        equal = current is not None and bool(current == self.best_model_score)
        return equal or super().check_monitor_top_k(trainer, current)


class EarlyStoppingWithGrace(EarlyStopping):
    """Early stopping that neither counts nor compares the epochs that are still in_grace_period.

    Args:
        in_grace_period: whether validation says nothing of the run at an epoch.
        monitor: the metric's name.
        arguments: Lightning's own.
    """

    def __init__(self, in_grace_period: InGracePeriod, monitor: str, **arguments: Any) -> None:
        super().__init__(monitor, check_on_train_epoch_end=False, **arguments)
        self._in_grace_period = in_grace_period

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if it is time to."""
        if not self._in_grace_period(trainer.current_epoch):
            super().on_validation_end(trainer, pl_module)


class EpochEndCallback(Callback):
    """Tells somebody outside of every epoch's metrics."""

    def __init__(self, after_epoch: AfterEpoch) -> None:
        self._after_epoch = after_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell; validation is over by now."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._after_epoch(trainer.current_epoch, metrics)


def fit(
    classifier: SignClassifier,
    data: ClipDataModule,
    directory: Path,
    trainer: Mapping[str, Any],
    monitor: str,
    logger: Logger,
    resume: bool = False,
    after_epoch: AfterEpoch | None = None,
) -> FitResult:
    """Train and return the kept epoch's checkpoint.

    With validation clips the epoch with the best `monitor` is kept, of equally good ones the
    latest; without, the last epoch. Epochs in which a regularizer settles that began late are
    neither kept nor counted by early stopping (`asl.training.regularization`).

    Args:
        classifier: what is trained.
        data: its batches.
        directory: where checkpoints go; `resume` looks for the last one there.
        trainer: Lightning Trainer's own arguments; and `compile`, whether to put the network
            through torch.compile.
        monitor: name of the validation metric that chooses the epoch.
        logger: receives every epoch's metrics.
        resume: go on from the directory's last checkpoint.
        after_epoch: is told every epoch's number, the first being 0, and metrics; it may raise
            `Pruned`, which passes through.

    Raises:
        UserError: early stopping without validation clips, or nothing to resume from.
    """
    _quieten_lightning()
    validated = len(data.split.val) > 0
    mode = "min" if monitor.endswith("loss") else "max"
    regularization = classifier.regularization
    in_grace_period = regularization.in_grace_period
    kept = BestCheckpoint(
        in_grace_period,
        dirpath=directory,
        filename="best",
        monitor=monitor if validated else None,
        mode=mode,
        save_weights_only=True,
        enable_version_counter=False,
    )
    # The epoch in the name makes Lightning write the new file before it removes the old one.
    last = ModelCheckpoint(dirpath=directory, filename="last-{epoch}", enable_version_counter=False)
    callbacks: list[Callback] = [RandomState(), kept]
    if (stopping := regularization.early_stopping) and validated:
        callbacks.append(
            EarlyStoppingWithGrace(in_grace_period, monitor, mode=mode, **asdict(stopping))
        )
    if after_epoch:
        callbacks.append(EpochEndCallback(after_epoch))
    settings = dict(trainer)
    if settings.pop("compile", False):
        # In place, so that weights keep their names; the average is no busy network.
        classifier.recognizer.backbone.compile()
    if settings.get("enable_progress_bar"):
        callbacks.append(EpochLines())
    machine = pl.Trainer(
        callbacks=[*callbacks, last],
        logger=logger,
        gradient_clip_val=regularization.gradient_clip,
        deterministic="warn",
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the data module deals out batches itself
        enable_model_summary=False,
        default_root_dir=directory,
        **settings,
    )
    start = time.perf_counter()
    machine.fit(
        classifier,
        datamodule=data,
        ckpt_path=_last(directory) if resume else None,
        weights_only=True,
    )
    seconds = time.perf_counter() - start
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # What follows is measured by one process, which must see every clip.
        torch.distributed.destroy_process_group()
    checkpoint = Path(kept.best_model_path)
    epoch = torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"]
    return FitResult(checkpoint, int(epoch), machine.current_epoch, seconds)


def _last(directory: Path) -> Path:
    found = sorted(directory.glob("last-*.ckpt"), key=lambda path: path.stat().st_mtime)
    for path in reversed(found):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # a plug pulled while it was written; the one before it is whole
            continue
        return path
    raise UserError(f"resume: no checkpoint to go on from in {directory}; start the run anew")


def _quieten_lightning() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    # Clips come from a memory map in batches; worker processes would only copy them.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero.*")
    warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
