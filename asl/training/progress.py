"""One line an epoch."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar


class EpochLines(ProgressBar):
    """Prints each epoch's loss, accuracy and F1, with the time that is left."""

    def __init__(self) -> None:
        super().__init__()
        self._started = 0.0
        self._first_epoch = 0

    def disable(self) -> None:
        """Lightning silences all processes but the first through this."""
        self._started = -1.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        if self._started >= 0:
            self._started = time.perf_counter()
            self._first_epoch = trainer.current_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's line."""
        if self._started < 0:
            return
        done = trainer.current_epoch + 1
        spent = time.perf_counter() - self._started
        left = spent / (done - self._first_epoch) * ((trainer.max_epochs or done) - done)
        parts = [f"epoch {done}/{trainer.max_epochs}"]
        parts += [_part(split, trainer.callback_metrics) for split in ("train", "val")]
        print("  ".join([*filter(None, parts), f"{left:.0f} s left"]), file=sys.stderr, flush=True)


def _part(split: str, metrics: dict[str, Any]) -> str:
    names = ("loss", "accuracy", "f1")
    found = [
        f"{n} {float(metrics[f'{split}/{n}']):.3f}" for n in names if f"{split}/{n}" in metrics
    ]
    return f"{split} {' '.join(found)}" if found else ""
