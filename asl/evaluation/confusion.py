"""Which signs are taken for which."""

import numpy as np
import pandas as pd

from asl.clips.store import ClipStore
from asl.evaluation.predictions import Predictions


def confusion(predictions: Predictions) -> pd.DataFrame:
    """Clips counted by true sign (rows) and recognised sign (columns)."""
    size = len(predictions.names)
    counts = np.zeros((size, size), dtype=int)
    np.add.at(counts, (predictions.signs, predictions.top), 1)
    return pd.DataFrame(counts, index=predictions.names, columns=predictions.names)


def per_sign(predictions: Predictions) -> pd.DataFrame:
    """Clips, precision, recall and F1 of each sign that occurs, the hardest sign first."""
    counts = confusion(predictions).to_numpy()
    hits, true, recognised = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        precision = np.where(recognised > 0, hits / recognised, 0.0)
        recall = np.where(true > 0, hits / true, 0.0)
        f1 = np.where(true + recognised > 0, 2 * hits / (true + recognised), 0.0)
    table = pd.DataFrame(
        {
            "sign": predictions.names,
            "clips": true,
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }
    )
    return table[table["clips"] > 0].sort_values("f1", kind="stable").reset_index(drop=True)


def confused_pairs(predictions: Predictions, most: int = 20) -> pd.DataFrame:
    """The pairs of signs most often taken for one another, in either direction."""
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
    """A clip of one sign that was taken for the other sign, and a clip of that other sign.

    The second is by the same signer if there is one, and one that was recognised if there is one.

    Args:
        predictions: of clips of the store.
        store: the clips.
        sign: which has a clip that was taken for `other`.
        other: which has a clip in the store.

    Returns:
        Two rows of the store.
    """
    signed, named = predictions.names.index(sign), predictions.names.index(other)
    first = np.flatnonzero((predictions.signs == signed) & (predictions.top == named))[0]
    there = np.flatnonzero(store.sign == named)
    recognised = np.isin(there, predictions.index[predictions.correct])
    own = store.clip_signers[there] == predictions.signers[first]
    best = np.lexsort((~recognised, ~own))[0]
    return int(predictions.index[first]), int(there[best])
