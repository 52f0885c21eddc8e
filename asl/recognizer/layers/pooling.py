"""Pooling over time."""

import torch
from torch import Tensor

from asl.recognizer.layers.options import Pool

VERY_LOW = -1e4
"""Below every activation, and finite in float16."""


def pool(steps: Tensor, mask: Tensor, how: Pool) -> Tensor:
    """Pool the real time steps.

    Args:
        steps: `[B, T, C]`.
        mask: `[B, T]`, true for real steps, which come first.
        how: mean, maximum, or the last real step.

    Returns:
        `[B, C]`.
    """
    if how == "max":
        return torch.where(mask[:, :, None], steps, VERY_LOW).amax(1)
    share = (mask if how == "mean" else _last(mask)).to(steps.dtype)[:, :, None]
    return (steps * share).sum(1) / share.sum(1).clamp(min=1)


def _last(mask: Tensor) -> Tensor:
    place = torch.arange(mask.shape[1], device=mask.device)
    return place == mask.sum(1, keepdim=True) - 1
