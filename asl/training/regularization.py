"""What keeps a recognizer from memorising its signers, beside its augmentation."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt

Share = Annotated[float, Ge(0), Le(1)]
Probability = Annotated[float, Ge(0), Lt(1)]
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
    """What training adds to plain cross-entropy; 0 leaves a term out.

    The first five reach the network and the optimizer by interpolation in the config.

    Two of these begin late, because a network that knows nothing yet would not get off the ground
    under them. When they begin, validation falls for some epochs before it climbs past its old best
    (the GISLR winner's fell from .70 to .62 at epoch 16 and was back ten epochs later). Until then
    a run must be judged by nobody: see `in_grace_period`.

    Attributes:
        dropout: of the network.
        head_dropout: of the clip's summary, before the head.
        recurrent_dropout: between the layers of a recurrent network.
        attention_dropout: of attention weights.
        weight_decay: of the optimizer.
        label_smoothing: probability mass taken from the true sign and spread over all (Szegedy et
            al. 2016, section 7). GISLR: .1 (1st place), .5 (2nd to 4th), up to .75 (5th, 24th).
        head_l1: weight of the head's absolute weights in the loss.
        head_l2: weight of the head's squared weights in the loss.
        join: share of training clips made of the first part of one and the rest of another clip
            of the same sign; see `asl.training.pairs.join`.
        swap_hands: share of training clips given the hands of another clip of the same sign; see
            `asl.training.pairs.swap_hands`.
        mixup: share of training clips blended with another clip; see `asl.training.pairs.mix`.
        mixup_alpha: both parameters of the Beta distribution that a blend's weight comes from.
        r_drop: weight of the difference between two passes under different dropouts; see
            `asl.training.consistency`.
        ema: decay of the averaged weights that are evaluated and kept; see `asl.training.average`.
        awp: size of the adversarial weight perturbation; see `asl.training.adversarial`.
        late_dropout: share of the clip's summary that training zeroes before the head, on top of
            the head's own dropout. The GISLR winner's `LateDropout` is .8 from epoch 15 on.
        late_start: epoch from which `awp` and `late_dropout` act, the first being 0.
        grace_epochs: epochs after that in which no checkpoint is chosen and nothing stops.
        gradient_clip: largest norm of the gradient, or None.
        early_stopping: when to stop, or None.
    """

    dropout: Probability = 0.0
    head_dropout: Probability = 0.0
    recurrent_dropout: Probability = 0.0
    attention_dropout: Probability = 0.0
    weight_decay: Weight = 0.0
    label_smoothing: Probability = 0.0
    head_l1: Weight = 0.0
    head_l2: Weight = 0.0
    join: Share = 0.0
    swap_hands: Share = 0.0
    mixup: Share = 0.0
    mixup_alpha: Annotated[float, Gt(0)] = 1.0
    r_drop: Weight = 0.0
    ema: Probability = 0.0
    awp: Weight = 0.0
    late_dropout: Probability = 0.0
    late_start: Count = 0
    grace_epochs: Count = 0
    gradient_clip: Annotated[float, Gt(0)] | None = None
    early_stopping: EarlyStopping | None = None

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Regularization":
        """From the plain values of a config; what it lacks keeps its default."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        if stopping := known.get("early_stopping"):
            known["early_stopping"] = EarlyStopping(**stopping)
        return cls(**known)

    def begun(self, epoch: int) -> bool:
        """Whether what begins late has begun."""
        return epoch >= self.late_start

    def in_grace_period(self, epoch: int) -> bool:
        """Whether what begins late began so recently that validation says nothing of the run.

        In these epochs no checkpoint is chosen and early stopping does not count. From epoch 0 on
        there is no "before" to fall from, and nothing settles.
        """
        if not (self.awp or self.late_dropout) or self.late_start == 0:
            return False
        return self.late_start <= epoch < self.late_start + self.grace_epochs
