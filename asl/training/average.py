"""An exponential moving average of a recognizer: the one that is evaluated, kept and exported.

Polyak & Juditsky 1992; Tarvainen & Valpola 2017 (arXiv 1703.01780). In the recipes of the GISLR
competition's 5th, 11th, 24th and 26th places with decays from .999 to .9999; the last one reports 2
to 4 points of accuracy from it.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from asl.recognizer.recognizer import Recognizer


def averaged(recognizer: Recognizer, decay: float) -> AveragedModel:
    """A copy whose weights `update_parameters(recognizer)` moves towards the recognizer's.

    The running statistics of batch normalisation are averaged like the weights that they belong
    to. Early on, when there is little to average, the decay is smaller: after n updates it is
    (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage.

    Args:
        recognizer: what is trained.
        decay: share that the average keeps of itself at an update.
    """
    average = AveragedModel(recognizer, multi_avg_fn=_towards(decay), use_buffers=True)
    return average.requires_grad_(False)


def _towards(decay: float) -> Callable[..., None]:
    @torch.no_grad()
    def update(average: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor) -> None:
        step = 1 - torch.clamp((1 + updates) / (10 + updates), max=decay)
        for mean, value in zip(average, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, step.to(mean))
            else:  # positions of landmarks, which have no mean
                mean.copy_(value)

    return update
