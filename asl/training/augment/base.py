"""Operations in sequence, and the random draws that they share."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from asl.landmarks import LandmarkSet

Clips = tuple[Tensor, Tensor]
"""Clips `[B, T, P, C]` and their lengths `[B]`."""


Operation = Callable[[Tensor, Tensor, LandmarkSet], Clips]
"""From clips, their lengths and the landmark set to changed clips and their lengths."""


class Augmentation(nn.Module):
    """Applies operations one after the other.

    One whose class has `spatial = True` is given the coordinates alone, for what moves or turns a
    hand does not bend its fingers: measured channels stay beside it as they are.

    Args:
        operations: name to operation, in order.
        landmarks: the landmarks of the clips.
    """

    def __init__(self, operations: Mapping[str, Operation], landmarks: LandmarkSet) -> None:
        super().__init__()
        self.operations = dict(operations)
        # A user's own may hold tensors, which go where the network goes.
        self.modules_among = nn.ModuleList(
            o for o in operations.values() if isinstance(o, nn.Module)
        )
        self.landmarks = landmarks

    @torch.no_grad()
    def forward(self, clips: Tensor, lengths: Tensor) -> Clips:
        """Augmented clips and their lengths."""
        for operation in self.operations.values():
            measured = None
            if self.landmarks.layout.measured and getattr(operation, "spatial", False):
                clips, measured = clips[..., :3], clips[..., 3:]
            clips, lengths = operation(clips, lengths, self.landmarks)
            if measured is not None:
                clips = torch.cat([clips, measured], dim=-1)
        return clips, lengths


def bernoulli(clips: Tensor, p: float) -> Tensor:
    """True with probability `p` for each clip, `[B]`."""
    return torch.rand(len(clips), device=clips.device) < p


def uniform(clips: Tensor, low: float, high: float) -> Tensor:
    """A number between `low` and `high` for each clip, `[B]`."""
    return low + (high - low) * torch.rand(len(clips), device=clips.device)


def where_drawn(clips: Tensor, p: float, value: Tensor, fallback: float) -> Tensor:
    """The value with probability `p` for each clip, else the fallback, `[B]`."""
    return torch.where(bernoulli(clips, p), value, fallback)


def some_of(changed: Tensor, clips: Tensor, p: float) -> Tensor:
    """The changed clips with probability `p` each, else the clips, `[B, T, P, C]`."""
    return torch.where(bernoulli(clips, p)[:, None, None, None], changed, clips)


def cut_off(clips: Tensor, lengths: Tensor) -> Tensor:
    """Clips `[B, T, P, C]` with NaN from their lengths `[B]` on."""
    steps = torch.arange(clips.shape[1], device=clips.device)
    return set_missing(clips, (steps >= lengths[:, None])[:, :, None])


def set_missing(clips: Tensor, missing: Tensor) -> Tensor:
    """Clips `[B, T, P, C]` with NaN where `missing`, `[B, T or 1, P or 1]`, is true."""
    return clips.masked_fill(missing[..., None], torch.nan)
