"""Accuracy where only some signs can be meant: a game asks "which of these five?"."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CANDIDATES = (2, 3, 5, 10)


def accuracy_among(scores: NDArray[np.float32], signs: NDArray[np.int64], k: int) -> float:
    """The expected accuracy if the true sign and k - 1 others, drawn at random, are candidates.

    It is exact: of `n - 1` other signs of which `b` score at least as high as the true one, all
    k - 1 that are drawn score lower with probability C(n - 1 - b, k - 1) / C(n - 1, k - 1).

    Args:
        scores: [clips, signs].
        signs: [clips], the true sign's index.
        k: number of candidates, at most as many as there are signs.
    """
    true = np.take_along_axis(scores, signs[:, None], axis=1)
    others = scores.shape[1] - 1
    lower = others - ((scores >= true).sum(axis=1) - 1)  # [clips]
    drawn = np.arange(k - 1)
    return float(((lower[:, None] - drawn).clip(min=0) / (others - drawn)).prod(axis=1).mean())


def candidates(scores: NDArray[np.float32], signs: NDArray[np.int64]) -> pd.DataFrame:
    """Accuracy among k candidates, a row for each k of `CANDIDATES` that is less than all signs."""
    sizes = [k for k in CANDIDATES if k < scores.shape[1]]
    accuracies = [accuracy_among(scores, signs, k) for k in sizes]
    return pd.DataFrame({"candidates": sizes, "accuracy": accuracies})
