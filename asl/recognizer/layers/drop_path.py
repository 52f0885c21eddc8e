"""Stochastic depth: training leaves whole blocks out."""

import torch
from torch import Tensor, nn

from asl.recognizer.layers.options import Dropout


class DropPath(nn.Module):
    """For some clips of a training batch, leave out what a block adds; the others' weighs more.

    Huang et al. 2016, "Deep Networks with Stochastic Depth" (arXiv 1603.09382).

    Args:
        rate: share of the clips.
    """

    def __init__(self, rate: Dropout) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, added: Tensor) -> Tensor:
        """What is added, `[B, T, C]`; its expectation stays what it is in evaluation."""
        if not self.training or not self.rate:
            return added
        kept = torch.rand(len(added), 1, 1, device=added.device) >= self.rate
        return added * (kept / (1 - self.rate)).to(added.dtype)
