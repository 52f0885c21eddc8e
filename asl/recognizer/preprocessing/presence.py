"""Presence: which coordinates were detected, and means over those.

Inside a recognizer a clip is a pair of tensors of one shape: values, finite everywhere, and
presence, 1.0 where there is a value and 0.0 where it is missing. Nothing computes with NaN, which
runtimes treat differently.
"""

import torch
from torch import Tensor

LARGEST = 1e6
"""Bound of coordinates in image units or metres; anything not below it is missing."""


def presence(clips: Tensor, lengths: Tensor | None) -> Tensor:
    """1.0 where a clip has a coordinate, 0.0 where it is NaN, infinite, out of range or padding.

    Args:
        clips: `[B, T, P, 3]`.
        lengths: `[B]`, in frames; None where no clip is padded.

    Returns:
        `[B, T, P, 3]`, of the dtype of `clips`.
    """
    # A comparison with NaN is false on every runtime; some have no isnan and isinf.
    present = clips.abs() < LARGEST
    if lengths is not None:
        real = torch.arange(clips.shape[1], device=clips.device) < lengths[:, None]  # [B, T]
        present = present & real[:, :, None, None]
    return present.to(clips.dtype)


def detected_frames(clip: Tensor) -> Tensor:
    """The number of frames up to the last one in which anything was detected, at least 1.

    Args:
        clip: `[n, N, 3]`, NaN where nothing was detected.

    Returns:
        An int64 scalar, computed without a branch, so that it can be traced.
    """
    seen = presence(clip[None], None)[0].amax(2).amax(1)  # [n]
    places = torch.arange(1, len(clip) + 1, device=clip.device, dtype=seen.dtype)
    return (seen * places).amax(0).clamp(min=1).to(torch.int64)


def present_mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean of present values over frames and landmarks, 0 where there are none.

    Args:
        values: `[B, T, P, C]`.
        present: `[B, T, P, C]`.

    Returns:
        `[B, 1, 1, C]`.
    """
    # One axis at a time: ONNX Runtime computes one long sum less exactly than PyTorch.
    total = (values * present).sum(2, keepdim=True).sum(1, keepdim=True)
    return total / present.sum(2, keepdim=True).sum(1, keepdim=True).clamp(min=1)
