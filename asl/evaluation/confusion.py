"""Confusions between signs."""

import numpy as np
import pandas as pd
from scipy.special import softmax

from asl.clips.store import ClipStore
from asl.evaluation.predictions import Predictions


def confusion(predictions: Predictions) -> pd.DataFrame:
    """The confusion matrix: counts of clips by true sign (rows) and predicted sign (columns)."""
    size = len(predictions.names)
    counts = np.zeros((size, size), dtype=int)
    np.add.at(counts, (predictions.signs, predictions.top), 1)
    return pd.DataFrame(counts, index=predictions.names, columns=predictions.names)


def per_sign(predictions: Predictions) -> pd.DataFrame:
    """Clips, precision, recall and F1 of each sign that occurs, by ascending F1."""
    counts = confusion(predictions).to_numpy()
    hits, true, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        precision = np.where(predicted > 0, hits / predicted, 0.0)
        recall = np.where(true > 0, hits / true, 0.0)
        f1 = np.where(true + predicted > 0, 2 * hits / (true + predicted), 0.0)
    columns = {"clips": true, "precision": precision, "recall": recall, "f1": f1}
    table = pd.DataFrame({"sign": predictions.names, **columns})
    return table[table["clips"] > 0].sort_values("f1", kind="stable").reset_index(drop=True)


def confused_pairs(predictions: Predictions, most: int = 20) -> pd.DataFrame:
    """The most often confused pairs of signs, both directions added up."""
    counts = confusion(predictions).to_numpy()
    both = counts + counts.T
    first, second = np.triu_indices(len(both), k=1)
    order = np.argsort(-both[first, second], kind="stable")[:most]
    rows = [
        {
            "sign": predictions.names[a],
            "other": predictions.names[b],
            "confused": int(both[a, b]),
            "sign_as_other": int(counts[a, b]),
            "other_as_sign": int(counts[b, a]),
        }
        for a, b in zip(first[order], second[order], strict=True)
        if both[a, b] > 0
    ]
    columns = ["sign", "other", "confused", "sign_as_other", "other_as_sign"]
    return pd.DataFrame(rows, columns=columns)


def example_clips(
    predictions: Predictions, store: ClipStore, sign: str, other: str
) -> tuple[int, int]:
    """A clip of one sign that was predicted as the other, and a clip of that other sign.

    The second one is by the same signer, and recognised, if there is such a clip.

    Args:
        predictions: of clips of the store.
        store: the clips.
        sign: a sign with a clip that was predicted as `other`.
        other: a sign with a clip in the store.

    Returns:
        Two rows of the store.
    """
    true, predicted = predictions.names.index(sign), predictions.names.index(other)
    first = np.flatnonzero((predictions.signs == true) & (predictions.top == predicted))[0]
    return int(predictions.index[first]), _example(predictions, store, int(first))


def worst_clips(
    predictions: Predictions, store: ClipStore, most: int
) -> list[tuple[int, float, int]]:
    """The clips that are taken for another sign with the highest probability, the highest first.

    Args:
        predictions: of clips of the store.
        store: the clips.
        most: how many at most.

    Returns:
        Of each the row in the store, the probability, and the row of a clip of the sign that it
        was taken for, as in `example_clips`. Signs without a clip in the store are left out.
    """
    probabilities = softmax(predictions.scores, axis=1).max(axis=1)
    taken_for = np.array(predictions.names, dtype=str)[predictions.top]
    wrong = np.flatnonzero(~predictions.correct & np.isin(taken_for, store.clip_signs))
    worst = wrong[np.argsort(-probabilities[wrong], kind="stable")][:most]
    return [
        (int(predictions.index[i]), float(probabilities[i]), _example(predictions, store, int(i)))
        for i in worst
    ]


def _example(predictions: Predictions, store: ClipStore, clip: int) -> int:
    """The row of a clip of the sign that a clip, the number of a prediction, was taken for."""
    candidates = np.flatnonzero(store.clip_signs == predictions.names[predictions.top[clip]])
    recognised = np.isin(candidates, predictions.index[predictions.correct])
    same_signer = store.clip_signers[candidates] == predictions.signers[clip]
    return int(candidates[np.lexsort((~recognised, ~same_signer))[0]])
