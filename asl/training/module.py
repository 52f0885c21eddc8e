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
from asl.evaluation.metrics import in_any_order, sign_metrics
from asl.recognizer.heads.linear import LinearHead
from asl.recognizer.recognizer import Recognizer
from asl.training.adversarial import WeightPerturbation
from asl.training.average import averaged
from asl.training.consistency import disagreement
from asl.training.pairs import join, mix, swap_hands
from asl.training.regularization import Regularization

MakeOptimizer = Callable[[Iterator[nn.Parameter], int], tuple[Optimizer, LRScheduler]]
Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# Where weights stand in checkpoints.
_TRAINED, _AVERAGE, _AVERAGED = "recognizer.", "average.", "average.module."


class SignClassifier(pl.LightningModule):
    """Trains a recognizer by cross-entropy and what regularization adds to it.

    Args:
        recognizer: raw landmarks to logits.
        augment: clips [B, T, P, 3] and lengths [B] to changed ones; for training batches only.
        make_optimizer: parameters and the number of steps to an optimizer and its schedule.
        regularization: what is added.
        spec: from what the recognizer was built; goes into every checkpoint.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        augment: Augment,
        make_optimizer: MakeOptimizer,
        regularization: Regularization,
        spec: dict[str, Any],
    ) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.augment = augment
        self.make_optimizer = make_optimizer
        self.regularization = regularization
        self.spec = spec
        ema = regularization.ema
        self.average = averaged(recognizer, ema) if ema else None
        self.perturbation = WeightPerturbation(regularization.awp)
        metrics = sign_metrics(len(recognizer.signs))
        splits = ("train", "val")
        self.metrics = nn.ModuleDict({f"{s}_": metrics.clone(prefix=f"{s}/") for s in splits})
        self.losses = nn.ModuleDict({f"{s}_": MeanMetric() for s in splits})
        self._validated: dict[str, Any] = {}

    @property
    def judged(self) -> Recognizer:
        """The recognizer that is evaluated and kept: the averaged one, where there is one."""
        return self.recognizer if self.average is None else cast("Recognizer", self.average.module)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of the varied batch, at perturbed weights where that is asked for."""
        steps, mask, targets = self._varied(batch)
        if self.regularization.awp and self.regularization.begun(self.current_epoch):
            loss = self._pass(steps, mask, targets)[1]
            self.perturbation.perturb(self.recognizer.parameters(), loss + self._penalty())
        logits, loss = self._pass(steps, mask, targets)
        self._count("train", logits, batch.signs, loss)
        return loss + self._penalty()

    def on_after_backward(self) -> None:
        """The optimizer steps from the weights, not from where they were perturbed to."""
        if self.perturbation.perturbed:
            self.perturbation.restore()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Average the weights that the step led to."""
        if self.average is not None:
            self.average.update_parameters(self.recognizer)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Count one validation batch."""
        logits = self.judged(batch.clips, batch.lengths)
        self._count("val", logits, batch.signs, F.cross_entropy(logits, batch.signs))

    def on_validation_epoch_end(self) -> None:
        """Tell the callbacks the epoch's validation metrics."""
        self._validated = self._measured("val")
        self._tell(self._validated, logger=False)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics, as seen under augmentation and dropout.

        Validation is over by now, and its metrics go along: each call costs a tracker time.
        """
        self._tell(self._measured("train") | self._validated, logger=True)
        self._validated = {}

    def configure_optimizers(self) -> Any:
        """The optimizer over everything trainable, its schedule stepped every batch."""
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = self.make_optimizer(self.recognizer.parameters(), steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put beside the weights what is needed to build the recognizer again.

        A checkpoint without an optimizer is the kept one: of weights and their average, it has the
        average alone, and nobody who reads it need know of the other.
        """
        checkpoint["recognizer"] = {"spec": self.spec, "signs": list(self.recognizer.signs)}
        if self.average is not None and "optimizer_states" not in checkpoint:
            checkpoint["state_dict"] = _average_alone(checkpoint["state_dict"])

    def _varied(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Features `[B, T, F]`, their mask and targets `[B, S]` as training sees them."""
        chosen, landmarks = self.regularization, self.recognizer.landmarks
        clips, lengths = batch.clips, batch.lengths
        if chosen.join:
            clips, lengths = join(clips, lengths, batch.signs, landmarks, chosen.join)
        if chosen.swap_hands:
            clips = swap_hands(clips, lengths, batch.signs, landmarks, chosen.swap_hands)
        clips, lengths = self.augment(clips, lengths)
        targets = F.one_hot(batch.signs, len(self.recognizer.signs)).to(clips.dtype)
        steps, mask = self.recognizer.steps(clips, lengths)
        if chosen.mixup:
            steps, targets = mix(steps, mask, targets, chosen.mixup, chosen.mixup_alpha)
        return steps, mask, targets

    def _pass(self, steps: Tensor, mask: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[B, S]` and the loss, the head's penalties not in it."""
        chosen, size = self.regularization, len(steps)
        if chosen.r_drop:
            steps, mask, targets = (torch.cat([x, x]) for x in (steps, mask, targets))
        summary = self.recognizer.backbone(steps, mask)
        if chosen.late_dropout and chosen.begun(self.current_epoch):
            summary = F.dropout(summary, chosen.late_dropout)
        logits = self.recognizer.head(summary, targets)
        loss = F.cross_entropy(logits, targets, label_smoothing=chosen.label_smoothing)
        if chosen.r_drop:
            # The paper adds both passes' cross-entropies; their mean leaves the learning rate be.
            loss = loss + chosen.r_drop / 2 * disagreement(logits)
        return logits[:size], loss

    def _count(self, split: str, logits: Tensor, signs: Tensor, loss: Tensor) -> None:
        metrics, losses = self._counters(split)
        with in_any_order():
            metrics.update(logits.detach(), signs)
        losses.update(loss.detach(), weight=len(signs))

    def _measured(self, split: str) -> dict[str, Any]:
        """The epoch's metrics; counting begins anew."""
        metrics, losses = self._counters(split)
        values = {f"{split}/loss": losses.compute(), **metrics.compute()}
        metrics.reset()
        losses.reset()
        return values

    def _tell(self, values: dict[str, Any], logger: bool) -> None:
        # The counters agree between processes by themselves; sync_dist only tells Lightning so.
        self.log_dict(values, sync_dist=True, logger=logger)

    def _counters(self, split: str) -> tuple[MetricCollection, MeanMetric]:
        metrics, losses = self.metrics[f"{split}_"], self.losses[f"{split}_"]
        return cast("MetricCollection", metrics), cast("MeanMetric", losses)

    def _penalty(self) -> Tensor:
        l1, l2 = self.regularization.head_l1, self.regularization.head_l2
        if not (l1 or l2):
            return torch.zeros((), device=self.device)
        weights = list(cast("LinearHead", self.recognizer.head).penalised())
        absolute = torch.stack([w.abs().sum() for w in weights]).sum()
        squared = torch.stack([w.square().sum() for w in weights]).sum()
        return l1 * absolute + l2 * squared


def _average_alone(weights: dict[str, Any]) -> dict[str, Any]:
    kept = {
        key: value for key, value in weights.items() if not key.startswith((_TRAINED, _AVERAGE))
    }
    averages = {
        key.replace(_AVERAGED, _TRAINED, 1): value
        for key, value in weights.items()
        if key.startswith(_AVERAGED)
    }
    return kept | averages
