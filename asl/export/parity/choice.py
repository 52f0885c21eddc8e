"""Which clips of a split an export is checked on, and which int8 takes its ranges from."""

import numpy as np

from asl.clips.splits import Split
from asl.clips.store import ClipStore


def compared(store: ClipStore, split: Split, most: int) -> tuple[str, np.ndarray]:
    """At most so many clips that a run did not train on: validation first, then test.

    Where there are neither, of those that it trained on.

    Returns:
        where they are from, in words; their rows.
    """
    names, chosen = [], np.array([], int)
    for name, rows in (("validation", split.val), ("test", split.test)):
        if len(rows) and len(chosen) < most:
            names.append(name)
            chosen = np.concatenate([chosen, spread(store, rows, most - len(chosen))])
    if not names:
        return "training", spread(store, split.train, most)
    return " and ".join(names), chosen


def spread(store: ClipStore, rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, every sign and then every signer as often as can be; sorted."""
    if len(rows) <= most:
        return rows
    left = np.random.default_rng(0).permutation(rows)
    of_sign, of_signer = np.zeros(len(store.signs), int), np.zeros(len(store.signers), int)
    chosen = []
    for _ in range(most):
        crowd = of_sign[store.sign[left]] * (most + 1) + of_signer[store.signer[left]]
        place = int(crowd.argmin())
        row = int(left[place])
        chosen.append(row)
        left = np.delete(left, place)
        of_sign[store.sign[row]] += 1
        of_signer[store.signer[row]] += 1
    return np.sort(chosen)
