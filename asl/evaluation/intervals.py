"""How far an accuracy might be from that of other clips, or of other signers: the bootstrap.

Efron and Tibshirani 1993, "An Introduction to the Bootstrap", the percentile interval (chapter 13).
What is drawn anew decides what the interval speaks of: clips stand for other clips of the same
signers, signers for other signers.
"""

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
LEVEL = 0.95

Interval = tuple[float, float]


def over_clips(correct: NDArray[np.bool_], seed: int = 0) -> Interval:
    """The interval of the accuracy when clips are drawn anew, with replacement.

    The number of hits among clips so drawn is binomial, and is drawn as such. Where all clips are
    recognised, or none, every draw is alike and the interval has no width.

    Args:
        correct: [clips], whether each was recognised.
        seed: of the draws.

    Returns:
        The accuracy's 2.5 % and 97.5 % quantiles.
    """
    hits = np.random.default_rng(seed).binomial(len(correct), correct.mean(), DRAWS)
    return _percentiles(hits / len(correct))


def over_signers(
    correct: NDArray[np.bool_], signers: NDArray[np.str_], seed: int = 0
) -> Interval | None:
    """The interval of the accuracy over clips when whole signers are drawn anew.

    Signers differ more than their clips do, and this interval says what new signers may bring. Of
    a handful of signers it is too narrow, and may be narrower than that over clips.

    Args:
        correct: [clips], whether each was recognised.
        signers: [clips], who signs.
        seed: of the draws.

    Returns:
        As `over_clips`; None where there is one signer alone.
    """
    _, who = np.unique(signers, return_inverse=True)
    clips, hits = np.bincount(who), np.bincount(who, weights=correct)
    if len(clips) == 1:
        return None
    drawn = np.random.default_rng(seed).integers(len(clips), size=(DRAWS, len(clips)))
    return _percentiles(hits[drawn].sum(axis=1) / clips[drawn].sum(axis=1))


def _percentiles(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
