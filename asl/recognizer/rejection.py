"""A score that a clip shows none of the signs."""

import torch
from torch import Tensor, nn

from asl.recognizer.layers.unit import unit

SHORTEST = 1e-6
"""Added to a length before its logarithm."""


class Rejection(nn.Module):
    """Logistic regression on how sure the network is and how like a sign's clips the clip is.

    Its features are the energy of the logits (Liu et al. 2020, "Energy-based Out-of-distribution
    Detection", arXiv 2010.03759), the logarithm of how far the clip's summary is from that of an
    average clip, and the cosine to the nearest sign's mean embedding. They are chosen by
    `benchmarks/rejection.py`: the highest probability (Hendrycks and Gimpel 2017, arXiv
    1610.02136) adds nothing to them.

    Args:
        weights: of the features, `[3]`.
        bias: of the regression, a number.
        prototypes: each sign's mean embedding at length 1, `[signs, width]`.
    """

    def __init__(self, weights: Tensor, bias: Tensor, prototypes: Tensor) -> None:
        super().__init__()
        self.weights = nn.Buffer(weights.float(), persistent=False)
        self.bias = nn.Buffer(bias.float(), persistent=False)
        self.prototypes = nn.Buffer(prototypes.float(), persistent=False)

    def forward(self, logits: Tensor, centred: Tensor) -> Tensor:
        """The score of clips, from 0 to 1, `[B, 1]`.

        Args:
            logits: `[B, S]`.
            centred: summaries less that of an average clip, `[B, width]`.
        """
        features = rejection_features(logits, centred, self.prototypes)
        return torch.sigmoid((features * self.weights).sum(-1, keepdim=True) + self.bias)


def rejection_features(logits: Tensor, centred: Tensor, prototypes: Tensor) -> Tensor:
    """Energy, length and nearest of clips, `[B, 3]`; as for `Rejection`."""
    highest = logits.amax(-1, keepdim=True)
    energy = highest + (logits - highest).exp().sum(-1, keepdim=True).log()
    length = (centred.square().sum(-1, keepdim=True).sqrt() + SHORTEST).log()
    nearest = (unit(centred) @ prototypes.T).amax(-1, keepdim=True)
    return torch.cat([energy, length, nearest], dim=-1)
