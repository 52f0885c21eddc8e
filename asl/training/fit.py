"""Training by Lightning: which epoch is kept, when it stops, how an interrupted run resumes."""

import logging
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from asl.clips.datamodule import ClipDataModule
from asl.errors import UserError, first_line
from asl.training.callbacks import (
    AfterEpoch,
    AveragedWeights,
    BestCheckpoint,
    EarlyStoppingWithGrace,
    EpochEndCallback,
    FrozenBackbone,
    RandomState,
    TrainingRates,
)
from asl.training.checkpoint import WholeCheckpoints
from asl.training.module import SignClassifier
from asl.training.progress import EpochLines
from asl.training.regularization import Regularization


class Pruned(Exception):  # noqa: N818 - no error
    """Raised by `after_epoch` to stop an unpromising run; the message gives the reason."""


class FitResult(NamedTuple):
    """What training kept.

    Attributes:
        checkpoint: of the kept epoch.
        kept_epoch: its number, from 0.
        epochs: how many ran.
        seconds: of training.
        monitored: the kept epoch's value of the monitored metric; None without validation clips.
    """

    checkpoint: Path
    kept_epoch: int
    epochs: int
    seconds: float
    monitored: float | None = None


def fit(
    classifier: SignClassifier,
    data: ClipDataModule,
    directory: Path,
    trainer: Mapping[str, Any],
    monitor: str,
    logger: Logger | bool,
    resume: bool = False,
    after_epoch: AfterEpoch | None = None,
    frozen_epochs: int = 0,
) -> FitResult:
    """Train and return the kept epoch's checkpoint.

    With validation clips the epoch with the best `monitor` is kept, of equally good ones the
    latest; without, the last epoch. Epochs of a grace period (`asl.training.regularization`) are
    neither kept nor counted by early stopping.

    Args:
        classifier: what is trained.
        data: its batches.
        directory: where checkpoints go; `resume` looks for the last one there.
        trainer: Lightning Trainer's own arguments; and `compile`, whether to put the network
            through torch.compile.
        monitor: name of the validation metric that chooses the epoch.
        logger: receives every epoch's metrics; False for none.
        resume: continue from the directory's last checkpoint.
        after_epoch: called with every epoch's number, the first being 0, and metrics; it may raise
            `Pruned`, which passes through.
        frozen_epochs: the first epochs, in which only the head is trained.

    Raises:
        UserError: there is no checkpoint to resume from, or no such device; `Diverged` where the
            loss or a weight becomes NaN or infinite.
    """
    _quieten_lightning()
    # Deterministic algorithms would fill fresh memory with NaN first, which no figure needs.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    regularization = classifier.regularization
    settings = {"plugins": [WholeCheckpoints()], **trainer}
    if settings.pop("compile", False):
        classifier.recognizer.backbone.compile()  # in place, so that weights keep their names
    validated = len(data.split.val) > 0
    best, callbacks = _callbacks(regularization, monitor, validated, directory)
    if frozen_epochs:
        callbacks.append(FrozenBackbone(frozen_epochs))
    if after_epoch:
        callbacks.append(EpochEndCallback(after_epoch))
    if settings.get("enable_progress_bar"):
        callbacks.append(EpochLines())
    try:
        lightning = pl.Trainer(
            callbacks=callbacks,
            logger=logger,
            gradient_clip_val=regularization.gradient_clip,
            deterministic="warn",
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # the data module distributes batches itself
            enable_model_summary=False,
            default_root_dir=directory,
            **settings,
        )
    except MisconfigurationException as error:  # a device that is not there, say
        asked = f"trainer.accelerator={settings.get('accelerator')}"
        raise UserError(f"{asked}: {first_line(error)}") from error
    start = time.perf_counter()
    lightning.fit(
        classifier,
        datamodule=data,
        ckpt_path=_last_checkpoint(directory) if resume else None,
        weights_only=True,
    )
    seconds = time.perf_counter() - start
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # What follows is measured by one process, which must see every clip.
        torch.distributed.destroy_process_group()
    checkpoint = Path(best.best_model_path)
    epoch = torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"]
    score = best.best_model_score
    monitored = None if score is None else float(score)
    return FitResult(checkpoint, int(epoch), lightning.current_epoch, seconds, monitored)


def _callbacks(
    regularization: Regularization, monitor: str, validated: bool, directory: Path
) -> tuple[BestCheckpoint, list[Callback]]:
    """The checkpoint of the best epoch, and the callbacks of every training, which include it."""
    mode = "min" if monitor.endswith("loss") else "max"
    best = BestCheckpoint(
        regularization.in_grace_period,
        dirpath=directory,
        filename="best",
        monitor=monitor if validated else None,
        mode=mode,
        save_weights_only=True,
        enable_version_counter=False,
    )
    # The epoch in the name makes Lightning write the new file before it removes the old one.
    last = ModelCheckpoint(dirpath=directory, filename="last-{epoch}", enable_version_counter=False)
    callbacks: list[Callback] = [RandomState(), TrainingRates(), best, last]
    if regularization.ema:
        callbacks.append(AveragedWeights(regularization.ema))
    if (stopping := regularization.early_stopping) and validated:
        grace = regularization.in_grace_period
        callbacks.append(EarlyStoppingWithGrace(grace, monitor, mode=mode, **asdict(stopping)))
    return best, callbacks


def _last_checkpoint(directory: Path) -> Path:
    """The latest readable checkpoint; one whose writing was interrupted is skipped."""
    paths = sorted(directory.glob("last-*.ckpt"), key=lambda path: path.stat().st_mtime)
    for path in reversed(paths):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception:
            continue
        return path
    raise UserError(f"resume: no checkpoint to go on from in {directory}; start the run anew")


def _quieten_lightning() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    # Clips come from a memory map in batches; worker processes would only copy them.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    # The last checkpoint's folder was moved; the best one's state moves with it.
    warnings.filterwarnings("ignore", message="The dirpath has changed from.*")
    warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero.*")
    warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
