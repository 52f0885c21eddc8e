"""Stochastic depth."""

import torch
from torch import Tensor, nn

from asl.recognizer.layers.options import Dropout


class DropPath(nn.Module):
    """Drops a block's residual branch for random clips in training, and rescales the others.

    Huang et al. 2016, "Deep Networks with Stochastic Depth" (arXiv 1603.09382).

    Args:
        rate: share of the clips.
    """

    def __init__(self, rate: Dropout) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """The residual branch `[B, T, C]`; its expectation is the same as in evaluation."""
        if not self.training or not self.rate:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.rate
        return branch * (kept / (1 - self.rate)).to(branch.dtype)
