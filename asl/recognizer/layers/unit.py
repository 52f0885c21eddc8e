"""Vectors of length 1."""

from torch import Tensor

TINY = 1e-6
"""Added to squared lengths, so that a vector of zeros has finite gradients and stays one."""


def unit(vectors: Tensor) -> Tensor:
    """Vectors `[..., width]` divided by their lengths."""
    return vectors * (vectors.square().sum(-1, keepdim=True) + TINY).rsqrt()
