"""What keeps a recognizer from memorising its signers, beside its dropouts and its augmentation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Regularization:
    """What training adds to plain cross-entropy; 0 leaves a thing out.

    Two of these begin late, because a network that knows nothing yet would not get off the ground
    under them. When they begin, validation falls for some epochs before it climbs past its old best
    (the GISLR winner's fell from .70 to .62 at epoch 16 and was back ten epochs later). Until then
    a run must be judged by nobody: see `settling`.

    Attributes:
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
        settle: epochs after that in which nobody judges the run.
    """

    label_smoothing: float = 0.0
    head_l1: float = 0.0
    head_l2: float = 0.0
    join: float = 0.0
    swap_hands: float = 0.0
    mixup: float = 0.0
    mixup_alpha: float = 1.0
    r_drop: float = 0.0
    ema: float = 0.0
    awp: float = 0.0
    late_dropout: float = 0.0
    late_start: int = 0
    settle: int = 0

    def begun(self, epoch: int) -> bool:
        """Whether what begins late has begun."""
        return epoch >= self.late_start

    def settling(self, epoch: int) -> bool:
        """Whether what begins late began so recently that validation says nothing of the run.

        In these epochs no checkpoint is chosen and early stopping does not count. From epoch 0 on
        there is no "before" to fall from, and nothing settles.
        """
        if not (self.awp or self.late_dropout) or self.late_start == 0:
            return False
        return self.late_start <= epoch < self.late_start + self.settle
