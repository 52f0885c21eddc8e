"""95 % confidence intervals of an accuracy: for other clips, and for other signers."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

RESAMPLES = 10_000
LEVEL = 0.95

Interval = tuple[float, float]


def over_clips(correct: NDArray[np.bool_]) -> Interval:
    """Wilson's score interval: the accuracy on other clips of the same signers.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference". Unlike a
    bootstrap it has a width where all clips are recognised, or none.

    Args:
        correct: [clips], whether each was recognised.
    """
    return wilson(float(correct.sum()), len(correct))


def wilson(hits: float, clips: int) -> Interval:
    """Wilson's interval of a number of recognised clips, rounded where it is a mean over seeds."""
    interval = binomtest(round(hits), clips).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def over_signers(
    correct: NDArray[np.bool_] | NDArray[np.float64], signers: NDArray[np.str_]
) -> Interval | None:
    """The cluster bootstrap's percentile interval: the mean over clips of other signers.

    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; whole signers are
    resampled with replacement, because signers differ more than their clips do. For a handful of
    signers the interval is too narrow, and may be narrower than that over clips.

    Args:
        correct: [clips], whether each was recognised, or the share of seeds that did; or the gain
            of one recognizer over another.
        signers: [clips], the signer of each.

    Returns:
        The interval; None for a single signer.
    """
    _, signer = np.unique(signers, return_inverse=True)
    clips, hits = np.bincount(signer), np.bincount(signer, weights=correct)
    if len(clips) == 1:
        return None
    sample = np.random.default_rng(0).integers(len(clips), size=(RESAMPLES, len(clips)))
    accuracies = hits[sample].sum(axis=1) / clips[sample].sum(axis=1)
    low, high = np.quantile(accuracies, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
