"""R-Drop: two passes over a clip with different dropout masks should predict the same.

Wu et al. 2021, "R-Drop: Regularized Dropout for Neural Networks" (arXiv 2106.14448); in the recipe
of the GISLR competition's fifth place.
"""

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax


def symmetric_kl(logits: Tensor) -> Tensor:
    """The divergence of two passes over the same clips.

    Args:
        logits: `[2 · B, S]`, the clips' first pass, then their second one.

    Returns:
        The mean of both Kullback-Leibler divergences, averaged over clips.
    """
    first, second = log_softmax(logits, -1).chunk(2)
    forward = kl_div(second, first, log_target=True, reduction="batchmean")
    backward = kl_div(first, second, log_target=True, reduction="batchmean")
    return (forward + backward) / 2
