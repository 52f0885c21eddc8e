"""What training adds to plain cross-entropy against overfitting, augmentation aside."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from asl.recognizer.layers.options import Dropout, Positive, Share

Weight = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class EarlyStopping:
    """Stop after `patience` epochs in which the monitored value did not improve by `min_delta`."""

    patience: Annotated[int, Gt(0)]
    min_delta: Weight = 0.0

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


@dataclass(frozen=True)
class Regularization:
    """Regularizers and their strengths; 0 leaves one out.

    The first five reach the network and the optimizer by interpolation in the config.

    `awp` and `late_dropout` may start late, because a network does not start to learn under them.
    When they start, validation gets worse for some epochs before it exceeds its earlier best (that
    of the GISLR competition's first place fell from .70 to .62 at epoch 16 and recovered ten epochs
    later). These epochs are a grace period: see `in_grace_period`.

    Attributes:
        dropout: of the network.
        head_dropout: of the clip's summary, before the head.
        recurrent_dropout: between the layers of a recurrent network.
        attention_dropout: of attention weights.
        weight_decay: of the optimizer.
        label_smoothing: probability mass moved from the true sign to all signs evenly (Szegedy et
            al. 2016, section 7). GISLR: .1 (1st place), .5 (2nd to 4th), up to .75 (5th, 24th).
        head_l1: weight of the head's absolute weights in the loss.
        head_l2: weight of the head's squared weights in the loss.
        join: share of training clips made of the first part of one and the rest of another clip
            of the same sign; see `asl.training.mixing.join_clips`.
        swap_hands: share of training clips with the hands of another clip of the same sign; see
            `asl.training.mixing.swap_hands`.
        mixup: share of training clips blended with another clip; see `asl.training.mixing.mixup`.
        mixup_alpha: both parameters of the Beta distribution that a blend's weight is drawn from.
        r_drop: weight of the divergence of two passes with different dropout masks; see
            `asl.training.r_drop`.
        consistency: weight of the divergence between a clip's answers under two draws of the
            augmentation, measured as in `asl.training.r_drop`; doubles the time. With
            `augment=views` they are two views of the clip. Consistency training (Xie et al. 2020,
            arXiv 1904.12848) on clips whose sign is known.
        ema: decay of the averaged weights that are evaluated and kept; see
            `asl.training.callbacks.AveragedWeights`.
        awp: size of the adversarial weight perturbation; see `asl.training.awp`.
        ghost_batch: clips whose statistics batch normalisation takes together and that are
            perturbed together, see `asl.training.ghost_batch`; None for the whole batch.
        late_dropout: dropout of the clip's summary before the head, on top of `head_dropout`.
            `LateDropout` of GISLR's first place is .8 from epoch 15 on.
        late_start: first epoch with `awp` and `late_dropout`, counted from 0.
        grace_epochs: length of the grace period that follows, in epochs.
        gradient_clip: largest norm of the gradient, or None.
        early_stopping: when to stop, or None.
    """

    dropout: Dropout = 0.0
    head_dropout: Dropout = 0.0
    recurrent_dropout: Dropout = 0.0
    attention_dropout: Dropout = 0.0
    weight_decay: Weight = 0.0
    label_smoothing: Dropout = 0.0
    head_l1: Weight = 0.0
    head_l2: Weight = 0.0
    join: Share = 0.0
    swap_hands: Share = 0.0
    mixup: Share = 0.0
    mixup_alpha: Positive = 1.0
    r_drop: Weight = 0.0
    consistency: Weight = 0.0
    ema: Dropout = 0.0
    awp: Weight = 0.0
    ghost_batch: Annotated[int, Ge(1)] | None = None
    late_dropout: Dropout = 0.0
    late_start: Count = 0
    grace_epochs: Count = 0
    gradient_clip: Positive | None = None
    early_stopping: EarlyStopping | None = None

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Regularization":
        """From the plain values of a config; a missing one has its default."""
        options = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        if stopping := options.get("early_stopping"):
            options["early_stopping"] = EarlyStopping(**stopping)
        return cls(**options)

    def late_terms_active(self, epoch: int) -> bool:
        """Whether `awp` and `late_dropout` act in this epoch."""
        return epoch >= self.late_start

    def in_grace_period(self, epoch: int) -> bool:
        """Whether a late regularizer started so recently that validation is not representative.

        In these epochs no checkpoint is kept and early stopping does not count. There is no grace
        period for what acts from epoch 0 on.
        """
        if not (self.awp or self.late_dropout) or self.late_start == 0:
            return False
        return self.late_start <= epoch < self.late_start + self.grace_epochs
