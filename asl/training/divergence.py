"""Training that has diverged ends at once: its weights recognise nothing."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from asl.errors import UserError


class Diverged(UserError):  # noqa: N818 - names what happened
    """Training whose loss or weights are no longer finite."""


def check_finite(epoch: int, losses: dict[str, float], weights: Iterable[Tensor] = ()) -> None:
    """Raises Diverged where a loss or a weight is NaN or infinite.

    Args:
        epoch: its number, the first being 0.
        losses: by name.
        weights: of the network.
    """
    wrong = [f"{name} is {loss}" for name, loss in losses.items() if not math.isfinite(loss)]
    if not wrong and not all(torch.isfinite(weight).all() for weight in weights):
        wrong = ["weights are not finite"]
    if wrong:
        raise Diverged(
            f"training diverged in epoch {epoch + 1}: {', '.join(wrong)}; lower optimizer.lr, clip "
            "gradients (regularization.gradient_clip=1), or train with trainer.precision=32-true"
        )
