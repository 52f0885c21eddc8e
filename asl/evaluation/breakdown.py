"""Accuracy by clip length, by missing hands, and by the columns of the recordings."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from asl.clips.columns import broken_down
from asl.clips.names import sorted_names
from asl.clips.store import ClipStore
from asl.evaluation.intervals import over_clips

GROUPS = 5  # of clips by length, of equal size as far as ties allow
HANDS_MISSING = (0.0, 0.25, 0.5, 0.75, 1.0)  # upper bounds of the groups


def missing_hands(store: ClipStore, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The share of each clip's frames in which no landmark of either hand is present.

    Args:
        store: the clips.
        rows: of the store.

    Returns:
        [rows], 0 to 1; None where the layout has no hands or the store none of their landmarks.
    """
    parts = store.layout.parts
    hands = [*parts.get("left_hand", ()), *parts.get("right_hand", ())]
    stored = hands if store.landmarks is None else np.intersect1d(hands, store.landmarks)
    if not len(stored):
        return None
    places = store.rows(stored)
    absent = (np.isnan(store.view(row)[:, places, 0]) for row in rows.tolist())  # each [T, P]
    return np.array([clip.all(axis=1).mean() for clip in absent])


def by_length(correct: NDArray[np.bool_], frames: NDArray[np.int64]) -> pd.DataFrame:
    """Accuracy of clips in groups by length, the shortest first.

    Args:
        correct: [clips], whether each was recognised.
        frames: [clips], their lengths.

    Returns:
        One row per group: from and to (the shortest and longest clip), clips, accuracy, and low
        and high, its interval by `over_clips`.
    """
    ends = np.unique(np.quantile(frames, np.arange(1, GROUPS + 1) / GROUPS, method="lower"))
    group = np.searchsorted(ends, frames)
    return _table(correct, frames, group)


def by_missing_hands(correct: NDArray[np.bool_], missing: NDArray[np.float64]) -> pd.DataFrame:
    """Accuracy of clips in groups by `missing_hands`: 0, up to 25 %, 50 %, 75 % and 100 %.

    Args:
        correct: [clips], whether each was recognised.
        missing: [clips], of `missing_hands`.

    Returns:
        As `by_length`, with the lowest and highest share in each group.
    """
    return _table(correct, missing, np.searchsorted(HANDS_MISSING, missing))


def by_column(
    correct: NDArray[np.bool_], columns: Mapping[str, NDArray[np.object_]]
) -> pd.DataFrame:
    """Accuracy of the clips with each value of each column that `broken_down` names.

    Args:
        correct: [clips], whether each was recognised.
        columns: texts [clips] by name.

    Returns:
        One row per column and value, values in the order of `sorted_names`: column, value, clips,
        accuracy, and low and high, its interval by `over_clips`.
    """
    rows = []
    for name in broken_down(columns):
        for value in sorted_names(columns[name]):
            part = correct[columns[name] == value]
            low, high = over_clips(part)
            row = {"column": name, "value": value, "clips": len(part)}
            rows.append(row | {"accuracy": part.mean(), "low": low, "high": high})
    return pd.DataFrame(rows)


def _table(correct: NDArray[np.bool_], values: NDArray, group: NDArray[np.int64]) -> pd.DataFrame:
    rows = []
    for number in np.unique(group):
        members = group == number
        low, high = over_clips(correct[members])
        rows.append(
            {
                "from": values[members].min(),
                "to": values[members].max(),
                "clips": int(members.sum()),
                "accuracy": correct[members].mean(),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)
