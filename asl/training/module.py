"""The LightningModule: augmentation, loss terms, and the metrics of every epoch."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric, MetricCollection

from asl.clips.datamodule import Batch
from asl.evaluation.metrics import allow_nondeterministic, sign_metrics
from asl.recognizer.heads.linear import LinearHead
from asl.recognizer.recognizer import Recognizer
from asl.training.awp import WeightPerturbation
from asl.training.callbacks import AveragedWeights
from asl.training.checkpoint import upgrade
from asl.training.divergence import check_finite
from asl.training.ghost_batch import loss_of_groups
from asl.training.mixing import join_clips, mixup, swap_hands
from asl.training.r_drop import symmetric_kl
from asl.training.regularization import Regularization

MakeOptimizer = Callable[[Iterator[nn.Parameter], int], tuple[Optimizer, LRScheduler]]
Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class SignClassifier(pl.LightningModule):
    """Trains a recognizer by cross-entropy and the terms that regularization adds to it.

    Args:
        recognizer: raw landmarks to logits.
        augment: from clips `[B, T, P, 3]` and lengths `[B]` to augmented ones; for training only.
        make_optimizer: from parameters and the number of steps to an optimizer and its schedule.
        regularization: what is added.
        spec: what the recognizer was built from; part of every checkpoint.
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
        self.perturbation = WeightPerturbation(regularization.awp)
        metrics = sign_metrics(len(recognizer.signs))
        splits = ("train", "val")
        self.metrics = nn.ModuleDict({f"{s}_": metrics.clone(prefix=f"{s}/") for s in splits})
        # By default torchmetrics leaves NaN out of the mean; with this it ignores weights.
        losses = {f"{s}_": MeanMetric(nan_strategy="disable") for s in splits}
        self.losses = nn.ModuleDict(losses)
        self.smoothed_loss = MeanMetric(nan_strategy="disable")  # of validation clips
        self._gradient_norms: list[Tensor] = []  # of the epoch's steps
        self._validation: dict[str, Any] = {}

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of the augmented batch, at perturbed weights once `awp` acts."""
        prepared = self._prepare_batch(batch)
        if size := self.regularization.ghost_batch:
            logits, loss, total = self._in_groups(prepared, len(batch.signs), size)
        else:
            logits, loss = self._adversarial_loss(*prepared)
            total = loss + self._penalty()
        self._update_metrics("train", logits, batch.signs, loss)
        return total

    def on_after_backward(self) -> None:
        """Undo the perturbation: the optimizer steps from the unperturbed weights."""
        self.perturbation.restore()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm of all gradients together, which is logged too and so computed once."""
        gradients = [p.grad for p in self.recognizer.parameters() if p.grad is not None]
        norm = get_total_norm(gradients)
        if gradient_clip_val:
            clip_grads_with_norm_(self.recognizer.parameters(), gradient_clip_val, norm)
        self._gradient_norms.append(norm)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Update the metrics with one validation batch; `AveragedWeights` puts in its weights."""
        logits = self.recognizer(batch.clips, batch.lengths)
        self._update_metrics("val", logits, batch.signs, F.cross_entropy(logits, batch.signs))
        smoothing = self.regularization.label_smoothing
        smoothed = F.cross_entropy(logits, batch.signs, label_smoothing=smoothing)
        self.smoothed_loss.update(smoothed.expand(len(batch.signs)))

    def on_validation_epoch_end(self) -> None:
        """Give the epoch's validation metrics to the callbacks; raises Diverged."""
        self._validation = self._compute_metrics("val")
        self._validation["val/smoothed_loss"] = self.smoothed_loss.compute()
        self.smoothed_loss.reset()
        check_finite(self.current_epoch, {"val/loss": float(self._validation["val/loss"])})
        self._log(self._validation, logger=False)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics, as seen under augmentation and dropout.

        Validation ended before; its metrics are logged in the same call, each of which takes time.

        Raises:
            Diverged: the loss or a weight is not finite.
        """
        training = self._compute_metrics("train")
        loss = {"train/loss": float(training["train/loss"])}
        check_finite(self.current_epoch, loss, self.recognizer.parameters())
        training["optimizer/gradient_norm"] = torch.stack(self._gradient_norms).mean()
        self._gradient_norms.clear()
        self._log(training | self._validation, logger=True)
        self._validation = {}

    def configure_optimizers(self) -> Any:
        """The optimizer over all parameters, its schedule stepped every batch."""
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = self.make_optimizer(self.recognizer.parameters(), steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to build the recognizer again; of a kept epoch only averaged weights.

        Lightning calls no callback for a checkpoint without an optimizer, so the averaged weights
        are put in here.
        """
        checkpoint["recognizer"] = {"spec": self.spec, "signs": list(self.recognizer.signs)}
        if self.regularization.ema and "optimizer_states" not in checkpoint:
            callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
            (averaging,) = (c for c in callbacks if isinstance(c, AveragedWeights))
            averaging.on_save_checkpoint(self.trainer, self, checkpoint)
            del checkpoint["current_model_state"], checkpoint["averaging_state"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read checkpoints of older versions, too."""
        upgrade(checkpoint)

    def _prepare_batch(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented features `[B, T, F]`, their mask `[B, T]` and targets `[B, S]`.

        With `consistency` there are `2 · B`: each clip augmented once, then each augmented anew.
        """
        options, landmarks = self.regularization, self.recognizer.landmarks
        clips, lengths, signs = batch.clips, batch.lengths, batch.signs
        if options.join:
            clips, lengths = join_clips(clips, lengths, signs, landmarks, options.join)
        if options.swap_hands:
            clips = swap_hands(clips, lengths, signs, landmarks, options.swap_hands)
        copies = 2 if options.consistency else 1
        clips, lengths, signs = (torch.cat([x] * copies) for x in (clips, lengths, signs))
        clips, lengths = self.augment(clips, lengths)
        targets = F.one_hot(signs, len(self.recognizer.signs)).to(clips.dtype)
        steps, mask = self.recognizer.steps(clips, lengths)
        if options.mixup:
            p, alpha = options.mixup, options.mixup_alpha
            steps, targets = mixup(steps, mask, targets, p, alpha, copies)
        return steps, mask, targets

    def _in_groups(
        self, prepared: tuple[Tensor, Tensor, Tensor], clips: int, size: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `_adversarial_loss` in groups of so many clips, and the loss with penalties."""
        rows = torch.arange(len(prepared[0]), device=self.device).view(-1, clips)
        logits, losses = [], []

        def loss_of(group: Tensor) -> Tensor:
            of_group, loss = self._adversarial_loss(*(part[group] for part in prepared))
            logits.append(of_group)
            losses.append(loss.detach() * len(of_group) / clips)
            return loss + self._penalty()

        total = loss_of_groups(
            loss_of,
            # A clip's copies stay together.
            [group.flatten() for group in rows.split(size, dim=1)],
            self.recognizer.parameters(),
            self.recognizer.backbone.buffers(),
            self.perturbation.restore,
        )
        return torch.cat(logits), torch.stack(losses).sum(), total

    def _adversarial_loss(
        self, steps: Tensor, mask: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `_forward_loss`; once `awp` acts, at weights that are perturbed for these clips."""
        if self.regularization.awp and self._late_terms_active():
            loss = self._forward_loss(steps, mask, targets)[1]
            self.perturbation.perturb(self.recognizer.parameters(), loss + self._penalty())
        return self._forward_loss(steps, mask, targets)

    def _forward_loss(self, steps: Tensor, mask: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the first copies `[B, S]`, and the loss without the head's penalties."""
        options, size = self.regularization, len(steps)
        if options.r_drop:
            steps, mask, targets = (torch.cat([x, x]) for x in (steps, mask, targets))
        summary = self.recognizer.backbone(steps, mask)
        if options.late_dropout and self._late_terms_active():
            summary = F.dropout(summary, options.late_dropout)
        logits = self.recognizer.head(summary, targets)
        loss = F.cross_entropy(logits, targets, label_smoothing=options.label_smoothing)
        if options.r_drop:
            # The paper sums both passes' cross-entropies; the mean keeps the learning rate's scale.
            loss = loss + options.r_drop / 2 * symmetric_kl(logits)
            logits = logits[:size]
        if options.consistency:
            loss = loss + options.consistency / 2 * symmetric_kl(logits)
            logits = logits[: size // 2]
        return logits, loss

    def _penalty(self) -> Tensor:
        l1, l2 = self.regularization.head_l1, self.regularization.head_l2
        if not (l1 or l2):
            return torch.zeros((), device=self.device)
        weights = list(cast("LinearHead", self.recognizer.head).penalised())
        absolute = torch.stack([w.abs().sum() for w in weights]).sum()
        squared = torch.stack([w.square().sum() for w in weights]).sum()
        return l1 * absolute + l2 * squared

    def _late_terms_active(self) -> bool:
        return self.regularization.late_terms_active(self.current_epoch)

    def _update_metrics(self, split: str, logits: Tensor, signs: Tensor, loss: Tensor) -> None:
        metrics, losses = self._metrics_of(split)
        with allow_nondeterministic():
            metrics.update(logits.detach(), signs)
        losses.update(loss.detach().expand(len(signs)))

    def _compute_metrics(self, split: str) -> dict[str, Any]:
        """The epoch's metrics; they are reset."""
        metrics, losses = self._metrics_of(split)
        values = {f"{split}/loss": losses.compute(), **metrics.compute()}
        metrics.reset()
        losses.reset()
        return values

    def _log(self, values: dict[str, Any], logger: bool) -> None:
        # torchmetrics has synchronised the values already; sync_dist only tells Lightning so.
        self.log_dict(values, sync_dist=True, logger=logger)

    def _metrics_of(self, split: str) -> tuple[MetricCollection, MeanMetric]:
        metrics, losses = self.metrics[f"{split}_"], self.losses[f"{split}_"]
        return cast("MetricCollection", metrics), cast("MeanMetric", losses)
