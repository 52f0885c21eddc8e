"""Progress on the terminal: one line for every epoch."""

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
        self._first_epoch = self._done = 0

    def disable(self) -> None:
        """Called by Lightning in all processes but the first."""
        self._started = -1.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        if self._started >= 0:
            self._started = time.perf_counter()
            self._first_epoch = self._done = trainer.current_epoch

    # An epoch's training metrics exist only after all callbacks' `on_train_epoch_end`.
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the previous epoch's line."""
        self._print(trainer, trainer.current_epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the last line."""
        self._print(trainer, trainer.current_epoch)

    def _print(self, trainer: pl.Trainer, done: int) -> None:
        if self._started < 0 or done == self._done:
            return
        self._done = done
        spent = time.perf_counter() - self._started
        left = spent / (done - self._first_epoch) * ((trainer.max_epochs or done) - done)
        parts = [f"epoch {done}/{trainer.max_epochs}"]
        parts += [_part(split, trainer.callback_metrics) for split in ("train", "val")]
        print("  ".join([*filter(None, parts), f"{left:.0f} s left"]), file=sys.stderr, flush=True)


def _part(split: str, metrics: dict[str, Any]) -> str:
    names = [name for name in ("loss", "accuracy", "f1") if f"{split}/{name}" in metrics]
    values = [f"{name} {float(metrics[f'{split}/{name}']):.3f}" for name in names]
    return " ".join([split, *values]) if values else ""
