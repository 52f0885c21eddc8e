"""One vector for a whole clip."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from asl.recognizer.options import Pool

VERY_LOW = -1e4
"""Below every activation, and finite in float16."""


def pool(steps: Tensor, mask: Tensor, how: Pool) -> Tensor:
    """Summarise the real time steps.

    Args:
        steps: `[B, T, C]`.
        mask: `[B, T]`, true for real steps, which come first.
        how: their mean, their maximum, or the last of them.

    Returns:
        `[B, C]`.
    """
    if how == "max":
        return torch.where(mask[:, :, None], steps, VERY_LOW).amax(1)
    weights = mask if how == "mean" else mask & ~pad(mask[:, 1:], (0, 1))
    share = weights.to(steps.dtype)[:, :, None]
    return (steps * share).sum(1) / share.sum(1).clamp(min=1)
