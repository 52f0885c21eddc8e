"""A score that a clip shows none of the signs."""

import torch
from torch import Tensor, nn

FEATURES = ("energy", "top", "nearest")


class Rejection(nn.Module):
    """Logistic regression on how sure the network is and how like a sign's clips the clip is.

    Its features are the energy of the logits (Liu et al. 2020, "Energy-based Out-of-distribution
    Detection", arXiv 2010.03759), the logarithm of the highest probability (Hendrycks and Gimpel
    2017, arXiv 1610.02136), and the cosine to the nearest sign's mean embedding. What each of them
    is worth measures `benchmarks/rejection.py`.

    Args:
        weights: of the features, `[3]`.
        bias: of the regression, a number.
        prototypes: each sign's mean embedding at length 1, `[signs, width]`.
    """

    def __init__(self, weights: Tensor, bias: Tensor, prototypes: Tensor) -> None:
        super().__init__()
        self.weights: Tensor
        self.bias: Tensor
        self.prototypes: Tensor
        for name, values in (("weights", weights), ("bias", bias), ("prototypes", prototypes)):
            self.register_buffer(name, values.float(), persistent=False)

    def forward(self, logits: Tensor, embedding: Tensor) -> Tensor:
        """The score, from 0 to 1, `[B, 1]`, of logits `[B, S]` and embeddings `[B, width]`."""
        features = rejection_features(logits, embedding, self.prototypes)
        return torch.sigmoid((features * self.weights).sum(-1, keepdim=True) + self.bias)


def rejection_features(logits: Tensor, embedding: Tensor, prototypes: Tensor) -> Tensor:
    """`FEATURES` of clips, `[B, 3]`, each higher for clips of signs."""
    highest = logits.amax(-1, keepdim=True)
    spread = (logits - highest).exp().sum(-1, keepdim=True).log()
    nearest = (embedding @ prototypes.T).amax(-1, keepdim=True)
    return torch.cat([highest + spread, -spread, nearest], dim=-1)
