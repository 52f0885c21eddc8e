"""Lightning callbacks: exact resume, averaged weights, rates, which epoch is kept or the last."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from torch import Tensor, nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from asl.recognizer.recognizer import Recognizer

InGracePeriod = Callable[[int], bool]
AfterEpoch = Callable[[int, Mapping[str, float]], None]


class RandomState(Callback):
    """Keeps the random generators in checkpoints, so that a resumed run draws the same numbers."""

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
        """Store the states; set-up after loading may still draw numbers."""
        self._restored = state_dict

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the states from the checkpoint."""
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


class FrozenBackbone(Callback):
    """Keeps a pretrained network as it is for the first epochs, in which only the head is trained.

    Gradients are dropped instead of never computed, as data-parallel training wants one for every
    parameter; optimizers leave parameters without one alone, weight decay included.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the statistics of batch normalisation, too."""
        self._backbone(pl_module).train(trainer.current_epoch >= self._epochs)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Drop the gradients."""
        if trainer.current_epoch < self._epochs:
            for parameter in self._backbone(pl_module).parameters():
                parameter.grad = None

    def _backbone(self, pl_module: pl.LightningModule) -> nn.Module:
        return cast("Recognizer", pl_module.recognizer).backbone


class AveragedWeights(WeightAveraging):
    """An exponential moving average of the weights: what is validated, kept and exported.

    Polyak & Juditsky 1992; Tarvainen & Valpola 2017 (arXiv 1703.01780). In the recipes of the GISLR
    competition's 5th, 11th, 24th and 26th places with decays from .999 to .9999; the last one
    reports 2 to 4 points of accuracy from it.

    The running statistics of batch normalisation are averaged like weights. The decay warms up:
    after n updates it is at most (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage.

    Args:
        decay: share of itself that the average keeps in an update.
    """

    def __init__(self, decay: float) -> None:
        @torch.no_grad()
        def update(average: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor) -> None:
            step = 1 - torch.clamp((1 + updates) / (10 + updates), max=decay)
            for mean, value in zip(average, current, strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, step.to(mean))
                else:  # indices of landmarks
                    mean.copy_(value)

        super().__init__(multi_avg_fn=update)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create the average on the device of training, where Lightning moves the module later."""
        pl_module.to(trainer.strategy.root_device)
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            self._average_model.requires_grad_(False)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best epoch, of equally good ones the latest, and none of a grace period.

    A small validation set is soon recognised without error; the epochs after that, at a falling
    learning rate, still improve the network.

    Args:
        in_grace_period: whether an epoch's validation is not representative.
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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best epoch, which Lightning would forget where the folder was moved."""

        def moved(path: str) -> str:
            return str(Path(str(self.dirpath), Path(path).name)) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        state = state_dict | {path: moved(state_dict[path]) for path in paths}
        super().load_state_dict(state | {"dirpath": self.dirpath, "best_k_models": best})


class EarlyStoppingWithGrace(EarlyStopping):
    """Early stopping that ignores the epochs of a grace period.

    Args:
        in_grace_period: whether an epoch's validation is not representative.
        monitor: the metric's name.
        arguments: Lightning's own.
    """

    def __init__(self, in_grace_period: InGracePeriod, monitor: str, **arguments: Any) -> None:
        super().__init__(monitor, check_on_train_epoch_end=False, **arguments)
        self._in_grace_period = in_grace_period

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if the patience is exhausted."""
        if not self._in_grace_period(trainer.current_epoch):
            super().on_validation_end(trainer, pl_module)


class TrainingRates(Callback):
    """Logs every epoch's learning rate, seconds, and training clips a second."""

    def __init__(self) -> None:
        self._start = self._trained = 0.0
        self._clips = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = self._trained = time.perf_counter()
        self._clips = 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the batch's clips; validation is no part of the rate."""
        self._clips += len(batch.signs) * trainer.world_size
        self._trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log; validation has ended by now."""
        rates = {
            "optimizer/lr": trainer.optimizers[0].param_groups[0]["lr"],
            "speed/epoch_seconds": time.perf_counter() - self._start,
            "speed/clips_per_second": self._clips / max(self._trained - self._start, 1e-9),
        }
        pl_module.log_dict(rates, logger=True, rank_zero_only=True)


class EpochEndCallback(Callback):
    """Calls a function with every epoch's number and metrics."""

    def __init__(self, after_epoch: AfterEpoch) -> None:
        self._after_epoch = after_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Call the function; validation has ended by now."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._after_epoch(trainer.current_epoch, metrics)
