"""On which clips a recognizer fails: accuracy against a clip's length and its missing hands."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from asl.clips.store import ClipStore
from asl.evaluation.intervals import over_clips

GROUPS = 5  # of clips by length, as equal as lengths that occur often allow
HANDS_MISSING = (0.0, 0.25, 0.5, 0.75, 1.0)  # upper ends; the first group misses none


def missing_hands(store: ClipStore, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The share of a clip's frames in which no landmark of either hand is present.

    Args:
        store: the clips.
        rows: of the store.

    Returns:
        [rows], 0 to 1; None where the layout has no hands, or the store holds none of them.
    """
    parts = store.layout.parts
    hands = [*parts.get("left_hand", ()), *parts.get("right_hand", ())]
    held = hands if store.landmarks is None else np.intersect1d(hands, store.landmarks)
    if not len(held):
        return None
    places = store.rows(held)
    absent = (np.isnan(store.view(row)[:, places, 0]) for row in rows.tolist())  # each [T, P]
    return np.array([clip.all(axis=1).mean() for clip in absent])


def by_length(correct: NDArray[np.bool_], frames: NDArray[np.int64]) -> pd.DataFrame:
    """Accuracy of clips in groups of like length, the shortest first.

    Args:
        correct: [clips], whether each was recognised.
        frames: [clips], their lengths.

    Returns:
        A row a group: from and to (the shortest and longest in it), clips, accuracy, and low and
        high, its interval by `over_clips`.
    """
    ends = np.unique(np.quantile(frames, np.arange(1, GROUPS + 1) / GROUPS, method="lower"))
    group = np.searchsorted(ends, frames)
    return _table(correct, frames, group)


def by_missing_hands(correct: NDArray[np.bool_], missing: NDArray[np.float64]) -> pd.DataFrame:
    """Accuracy of clips in groups by `missing_hands`: none, up to 25 %, 50 %, 75 % and all.

    Args:
        correct: [clips], whether each was recognised.
        missing: [clips], what `missing_hands` gave.

    Returns:
        As `by_length`, with the lowest and highest share that occur in a group.
    """
    return _table(correct, missing, np.searchsorted(HANDS_MISSING, missing))


def _table(correct: NDArray[np.bool_], values: NDArray, group: NDArray[np.int64]) -> pd.DataFrame:
    rows = []
    for number in np.unique(group):
        chosen = group == number
        low, high = over_clips(correct[chosen])
        rows.append(
            {
                "from": values[chosen].min(),
                "to": values[chosen].max(),
                "clips": int(chosen.sum()),
                "accuracy": correct[chosen].mean(),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)
