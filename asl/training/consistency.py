"""R-Drop: what a recognizer says must not depend on which of its units dropout left out.

Wu et al. 2021, "R-Drop: Regularized Dropout for Neural Networks" (arXiv 2106.14448); in the recipe
of the GISLR competition's fifth place.
"""

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax


def disagreement(logits: Tensor) -> Tensor:
    """How far two passes over the same clips are apart.

    Args:
        logits: `[2 · B, S]`, the clips' first pass, then their second one.

    Returns:
        The mean of both Kullback-Leibler divergences, averaged over clips.
    """
    one, other = log_softmax(logits, -1).chunk(2)
    there = kl_div(other, one, log_target=True, reduction="batchmean")
    back = kl_div(one, other, log_target=True, reduction="batchmean")
    return (there + back) / 2
