"""The LightningModule: a recognizer, what its training clips suffer, what it is punished for."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric, MetricCollection

from asl.clips.datamodule import Batch
from asl.recognizer.head import Head
from asl.recognizer.recognizer import Recognizer
from asl.training.metrics import sign_metrics

MakeOptimizer = Callable[[Iterator[nn.Parameter], int], tuple[Optimizer, LRScheduler]]
Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class SignClassifier(pl.LightningModule):
    """Trains a recognizer by cross-entropy with label smoothing (Szegedy et al. 2016, section 7).

    Args:
        recognizer: raw landmarks to logits.
        augment: clips [B, T, P, 3] and lengths [B] to changed ones; for training batches only.
        make_optimizer: parameters and the number of steps to an optimizer and its schedule.
        label_smoothing: probability mass taken from the true sign and spread over all.
        head_l1: weight of the head's absolute weights in the loss.
        head_l2: weight of the head's squared weights in the loss.
        spec: from what the recognizer was built; goes into every checkpoint.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        augment: Augment,
        make_optimizer: MakeOptimizer,
        label_smoothing: float,
        head_l1: float,
        head_l2: float,
        spec: dict[str, Any],
    ) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.augment = augment
        self.make_optimizer = make_optimizer
        self.label_smoothing = label_smoothing
        self.head_l1 = head_l1
        self.head_l2 = head_l2
        self.spec = spec
        metrics = sign_metrics(len(recognizer.signs))
        splits = ("train", "val")
        self.metrics = nn.ModuleDict({f"{s}_": metrics.clone(prefix=f"{s}/") for s in splits})
        self.losses = nn.ModuleDict({f"{s}_": MeanMetric() for s in splits})

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Cross-entropy of the augmented batch plus the head's penalties."""
        clips, lengths = self.augment(batch.clips, batch.lengths)
        logits = self.recognizer(clips, lengths)
        loss = F.cross_entropy(logits, batch.signs, label_smoothing=self.label_smoothing)
        self._count("train", logits, batch.signs, loss)
        return loss + self._penalty()

    def validation_step(self, batch: Batch, _: int) -> None:
        """Count one validation batch."""
        logits = self.recognizer(batch.clips, batch.lengths)
        self._count("val", logits, batch.signs, F.cross_entropy(logits, batch.signs))

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics, as seen under augmentation and dropout."""
        self._log("train")

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's validation metrics."""
        self._log("val")

    def configure_optimizers(self) -> Any:
        """The optimizer over everything trainable, its schedule stepped every batch."""
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = self.make_optimizer(self.recognizer.parameters(), steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put beside the weights what is needed to build the recognizer again."""
        checkpoint["recognizer"] = {"spec": self.spec, "signs": list(self.recognizer.signs)}

    def _count(self, split: str, logits: Tensor, signs: Tensor, loss: Tensor) -> None:
        metrics, losses = self._counters(split)
        metrics.update(logits.detach(), signs)
        losses.update(loss.detach(), weight=len(signs))

    def _log(self, split: str) -> None:
        metrics, losses = self._counters(split)
        # The counters agree between processes by themselves; sync_dist only tells Lightning so.
        values = {f"{split}/loss": losses.compute(), **metrics.compute()}
        self.log_dict(values, sync_dist=True)
        metrics.reset()
        losses.reset()

    def _counters(self, split: str) -> tuple[MetricCollection, MeanMetric]:
        metrics, losses = self.metrics[f"{split}_"], self.losses[f"{split}_"]
        return cast("MetricCollection", metrics), cast("MeanMetric", losses)

    def _penalty(self) -> Tensor:
        if not (self.head_l1 or self.head_l2):
            return torch.zeros((), device=self.device)
        weights = list(cast("Head", self.recognizer.head).penalised())
        absolute = torch.stack([w.abs().sum() for w in weights]).sum()
        squared = torch.stack([w.square().sum() for w in weights]).sum()
        return self.head_l1 * absolute + self.head_l2 * squared
