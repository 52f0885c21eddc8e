"""Reading a clip at any moments in time, missing values and ragged batches included."""

import torch
from torch import Tensor

HALF = 0.499
"""Half, less a margin, so that rounding can't decide a tie differently from runtime to runtime."""


def resample(values: Tensor, present: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Read clips at given moments, linearly between frames.

    The weights of the frames form a matrix, so one product serves ragged batches and, in an
    exported graph, a free number of frames. A missing neighbour leaves the other one's value if
    that one is the nearer; else the result is missing.

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
    found = (share > HALF).to(values.dtype)
    return total / share.clamp(min=HALF) * found, found
