"""Calibration: whether confidence equals accuracy, and temperature scaling.

Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599).
"""

import math

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 15  # of equal width, as in the paper
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0


def reliability(
    scores: NDArray[np.float32], signs: NDArray[np.int64], temperature: float = 1.0
) -> pd.DataFrame:
    """The table of a reliability diagram: accuracy by confidence, the top sign's probability.

    Args:
        scores: [clips, signs], logits or log-probabilities.
        signs: [clips], the true sign's index.
        temperature: divisor of the scores before the softmax.

    Returns:
        One row per bin of confidence, (from, to]: clips, their mean confidence and accuracy, NaN
        for an empty bin.
    """
    confidence, predicted = probabilities(scores, temperature).max(dim=1)
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    correct = predicted == torch.from_numpy(signs)
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
    """The mean absolute difference of accuracy and confidence, weighted by clips (eq. 3).

    As torchmetrics' CalibrationError, except for confidences of exactly 1, which it counts in a bin
    of their own; this value agrees with the table and the diagram.

    Args:
        bins: of `reliability`.
    """
    distance = (
        bins["accuracy"] - bins["confidence"]
    ).abs()  # NaN in an empty bin, which the sum skips
    return float((distance * bins["clips"]).sum() / bins["clips"].sum())


def fit_temperature(scores: NDArray[np.float32], signs: NDArray[np.int64]) -> float:
    """The temperature that minimises the cross-entropy of these clips.

    To be fitted on validation clips and applied to others (section 4.2). It changes no prediction.
    The loss is convex in 1 / temperature, and its derivative is the true sign's score minus the
    expected one: bisection finds where their means agree. If all clips are recognised, or no more
    than by chance, there is no minimum, and the result is `MIN_TEMPERATURE` or `MAX_TEMPERATURE`.

    Args:
        scores: [clips, signs], logits or log-probabilities.
        signs: [clips], the true sign's index.
    """
    logits = torch.from_numpy(scores).double()
    true = logits.gather(1, torch.from_numpy(signs)[:, None]).mean()
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    for _ in range(40):
        middle = (low + high) / 2
        expected = (probabilities(scores, math.exp(middle)) * logits).sum(dim=1).mean()
        low, high = (middle, high) if expected > true else (low, middle)
    return math.exp((low + high) / 2)


def is_clamped(temperature: float) -> bool:
    """Whether a fitted temperature is one of the bounds, so that the loss had no minimum."""
    return not MIN_TEMPERATURE * 1.001 < temperature < MAX_TEMPERATURE / 1.001


def probabilities(scores: NDArray[np.float32], temperature: float) -> Tensor:
    """The softmax of scores [clips, signs] at a temperature, float64."""
    return torch.softmax(torch.from_numpy(scores).double() / temperature, dim=1)
