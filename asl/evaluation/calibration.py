"""Whether a recognizer is right as often as it believes, and the temperature that makes it so.

Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599).
"""

import math

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 15  # of equal width; the paper's number
COOLEST, HOTTEST = 0.05, 20.0


def reliability(
    scores: NDArray[np.float32], signs: NDArray[np.int64], temperature: float = 1.0
) -> pd.DataFrame:
    """Accuracy beside confidence, the probability of the sign that was named.

    Args:
        scores: [clips, signs], logits or log-probabilities.
        signs: [clips], the true sign's index.
        temperature: what scores are divided by before the softmax.

    Returns:
        A row for each of `BINS` bins of confidence, (from, to]: clips, their mean confidence and
        accuracy, NaN where there are none.
    """
    confidence, named = _probabilities(scores, temperature).max(dim=1)
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    correct = named == torch.from_numpy(signs)
    clips = torch.bincount(bins, minlength=BINS)
    mean, accuracy = (
        torch.bincount(bins, weights=values.double(), minlength=BINS) / clips
        for values in (confidence, correct)
    )
    edges = np.linspace(0, 1, BINS + 1)
    return pd.DataFrame(
        {
            "from": edges[:-1],
            "to": edges[1:],
            "clips": clips.numpy(),
            "confidence": mean.numpy(),
            "accuracy": accuracy.numpy(),
        }
    )


def expected_calibration_error(bins: pd.DataFrame) -> float:
    """The distance of accuracy from confidence, a mean over the clips of all bins (eq. 3).

    torchmetrics' CalibrationError, but for confidences of exactly 1, which it counts in a bin of
    their own: the figure here is that of the table, and so of the picture.

    Args:
        bins: what `reliability` gave.
    """
    distance = (bins["accuracy"] - bins["confidence"]).abs()  # NaN in an empty bin, not summed
    return float((distance * bins["clips"]).sum() / bins["clips"].sum())


def fit_temperature(scores: NDArray[np.float32], signs: NDArray[np.int64]) -> float:
    """The one number to divide scores by that makes these clips' true signs most probable.

    To be fitted on validation clips and applied to others (section 4.2). It changes no answer. The
    loss is convex in 1 / temperature, and its derivative is the true sign's score less the expected
    one: bisection finds where their means agree. Clips that are all recognised ask for ever lower
    temperatures, clips that are recognised no better than by chance for ever higher ones; then it
    is `COOLEST` or `HOTTEST`.

    Args:
        scores: [clips, signs], logits or log-probabilities.
        signs: [clips], the true sign's index.
    """
    logits = torch.from_numpy(scores).double()
    true = logits.gather(1, torch.from_numpy(signs)[:, None]).mean()
    low, high = math.log(COOLEST), math.log(HOTTEST)
    for _ in range(40):
        middle = (low + high) / 2
        expected = (_probabilities(scores, math.exp(middle)) * logits).sum(dim=1).mean()
        low, high = (middle, high) if expected > true else (low, middle)
    return math.exp((low + high) / 2)


def at_its_bound(temperature: float) -> bool:
    """Whether the clips that it was fitted on do not say what the temperature is."""
    return not COOLEST * 1.001 < temperature < HOTTEST / 1.001


def _probabilities(scores: NDArray[np.float32], temperature: float) -> Tensor:
    return torch.softmax(torch.from_numpy(scores).double() / temperature, dim=1)
