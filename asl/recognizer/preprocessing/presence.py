"""What was detected, and statistics over it.

Inside a recognizer a clip is a pair of tensors of one shape: values, finite everywhere, and
presence, 1.0 where there is a value and 0.0 where it is missing. Nothing computes with NaN, which
runtimes treat differently.
"""

import torch
from torch import Tensor

LARGEST = 1e6
"""No coordinate in image units or metres comes near; what does not lie below it is missing."""


def presence(clips: Tensor, lengths: Tensor | None) -> Tensor:
    """1.0 where a clip has a coordinate, 0.0 where it is NaN, infinite, absurd or behind the end.

    Args:
        clips: `[B, T, P, 3]`.
        lengths: `[B]`, in frames; None where no clip is padded.

    Returns:
        `[B, T, P, 3]`, of the type of `clips`.
    """
    # A comparison with NaN is false on every runtime; isnan and isinf are not built in on some.
    there = clips.abs() < LARGEST
    if lengths is not None:
        real = torch.arange(clips.shape[1], device=clips.device) < lengths[:, None]  # [B, T]
        there = there & real[:, :, None, None]
    return there.to(clips.dtype)


def present_mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean over frames and landmarks of what is present, 0 where nothing is.

    Args:
        values: `[B, T, P, C]`.
        present: `[B, T, P, C]`.

    Returns:
        `[B, 1, 1, C]`.
    """
    # An axis at a time: ONNX Runtime adds up one long sum less exactly than PyTorch does.
    total = (values * present).sum(2, keepdim=True).sum(1, keepdim=True)
    return total / present.sum(2, keepdim=True).sum(1, keepdim=True).clamp(min=1)
