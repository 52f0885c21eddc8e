"""What a recognizer gains if it may answer "not sure", or with a set of signs.

Thresholds are chosen on validation clips and measured on others, as an app would use them.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from asl.evaluation.calibration import probabilities
from asl.evaluation.predictions import Predictions

WANTED_ACCURACIES = (0.9, 0.95, 0.99)
WANTED_COVERAGES = (0.8, 0.9, 0.95)


def risk_coverage(predictions: Predictions, temperature: float = 1.0) -> pd.DataFrame:
    """The risk–coverage curve: the error among the clips that it is surest of.

    El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification".

    Args:
        predictions: of some clips.
        temperature: divisor of the scores before the softmax.

    Returns:
        A row for every distinct confidence, the highest first: `confidence` from which on it
        answers, `coverage` (the share of clips that it answers) and `error` among these.
    """
    confidence, correct = _confidence(predictions, temperature)
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    errors = np.cumsum(~correct[order]) / answered
    last = np.append(np.diff(confidence[order]) != 0, True)  # of clips with one confidence
    table = {"confidence": confidence[order], "coverage": answered / len(order), "error": errors}
    return pd.DataFrame(table)[last].reset_index(drop=True)


def not_sure(predictions: Predictions, val: Predictions, temperature: float) -> pd.DataFrame:
    """Coverage and accuracy where answers below a confidence become "not sure".

    Args:
        predictions: of the clips to measure.
        val: of validation clips, on which the threshold is chosen: the lowest from which on the
            answers have the wanted accuracy.
        temperature: divisor of the scores before the softmax.

    Returns:
        A row for each of `WANTED_ACCURACIES` that validation reaches: wanted, confidence,
        coverage, accuracy (NaN where nothing is answered).
    """
    curve = risk_coverage(val, temperature)
    confidence, correct = _confidence(predictions, temperature)
    rows = []
    for wanted in WANTED_ACCURACIES:
        reached = curve[1 - curve["error"] >= wanted]
        if len(reached):
            threshold = reached["confidence"].iloc[-1]
            answered = confidence >= threshold
            accuracy = correct[answered].mean() if answered.any() else math.nan
            rows.append((wanted, threshold, answered.mean(), accuracy))
    return pd.DataFrame(rows, columns=["wanted", "confidence", "coverage", "accuracy"])


def conformal_sets(predictions: Predictions, val: Predictions, temperature: float) -> pd.DataFrame:
    """Sets of signs that contain the true one with a wanted probability, and whether they do.

    Split conformal prediction with the least ambiguous sets (Sadinle, Lei and Wasserman 2019): a
    set has every sign whose probability is at least a threshold, the quantile of the true signs'
    probabilities on validation clips. The promise holds for clips of the same signers; how far it
    holds for new ones is what `coverage` and `lowest_signer` measure.

    Args:
        predictions: of the clips to measure.
        val: of validation clips.
        temperature: divisor of the scores before the softmax.

    Returns:
        A row for each of `WANTED_COVERAGES`: wanted, probability (the threshold), coverage,
        lowest_signer (the lowest coverage of a signer), signs (mean size of a set), single (the
        share of sets with one sign).
    """
    true_val = np.sort(_of_true_sign(val, temperature))
    given = probabilities(predictions.scores, temperature).numpy()  # [clips, signs]
    true = _of_true_sign(predictions, temperature)
    rows = []
    for wanted in WANTED_COVERAGES:
        # The k-th smallest of n, k = floor((n + 1) * (1 - wanted)); none where n is too small.
        place = math.floor((len(true_val) + 1) * (1 - wanted) + 1e-9)
        threshold = true_val[place - 1] if place else 0.0
        sizes = (given >= threshold).sum(axis=1)
        covered = pd.Series(true >= threshold)
        lowest = covered.groupby(predictions.signers).mean().min()
        single = (sizes == 1).mean()
        rows.append((wanted, threshold, covered.mean(), lowest, sizes.mean(), single))
    columns = ["wanted", "probability", "coverage", "lowest_signer", "signs", "single"]
    return pd.DataFrame(rows, columns=columns)


def _confidence(
    predictions: Predictions, temperature: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The top sign's probability, and whether it is the true one, both [clips]."""
    confidence, top = probabilities(predictions.scores, temperature).max(dim=1)
    return confidence.numpy(), top.numpy() == predictions.signs


def _of_true_sign(predictions: Predictions, temperature: float) -> NDArray[np.float64]:
    given = probabilities(predictions.scores, temperature).numpy()
    return np.take_along_axis(given, predictions.signs[:, None], axis=1)[:, 0]
