"""Batch normalisation that padding can't reach."""

import torch
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """Batch normalisation whose statistics are those of the real time steps only.

    Args:
        channels: how many.
        momentum: weight of a batch in the running statistics that evaluation uses.
        epsilon: added to the variance.
    """

    def __init__(self, channels: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_variance: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))
        self.momentum = momentum
        self.epsilon = epsilon

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Normalised steps `[B, T, channels]`."""
        mean, variance = self.running_mean, self.running_variance
        if self.training:
            mean, variance = self._statistics(steps, mask)
            self._remember(mean.detach(), variance.detach())
        scale = self.weight * (variance + self.epsilon).rsqrt()
        return steps * scale + (self.bias - mean * scale)

    def _statistics(self, steps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        real = mask[:, :, None].to(steps.dtype)
        count = real.sum()
        mean = (steps * real).sum((0, 1)) / count
        return mean, ((steps - mean).square() * real).sum((0, 1)) / count

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_variance.lerp_(variance.to(self.running_variance), self.momentum)
