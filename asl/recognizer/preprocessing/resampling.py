"""Linear interpolation in time, with missing values and padded batches."""

import torch
from torch import Tensor

HALF = 0.499
"""Half, less a margin, so that ties do not depend on a runtime's rounding."""


def resample(values: Tensor, present: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Sample clips at moments in time, linearly between frames.

    The frames' weights form a matrix, so that one product serves padded batches and, in an exported
    graph, any number of frames. If one neighbour is missing, the result is the other one's value if
    that is the nearer one; else it is missing.

    Args:
        values: `[B, T, D]`.
        present: `[B, T, D]`, 1.0 or 0.0.
        moments: `[B, M]`, in frames; 0 is the first frame.

    Returns:
        values and presence, both `[B, M, D]`.
    """
    frames = torch.arange(values.shape[1], device=values.device, dtype=values.dtype)
    distance = (moments[:, :, None] - frames).abs()  # [B, M, T]
    weights = (1 - distance).relu()
    share = weights @ present
    total = weights @ (values * present)
    sampled = (share > HALF).to(values.dtype)
    return total / share.clamp(min=HALF) * sampled, sampled
