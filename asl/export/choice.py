"""Which clips of a split an export is checked on, and which int8 takes its ranges from."""

import numpy as np

from asl.clips.splits import Split
from asl.clips.store import ClipStore


def untrained(split: Split) -> tuple[str, np.ndarray]:
    """The name and the rows of clips that a run did not train on, where there are any."""
    parts = (("validation", split.val), ("test", split.test), ("training", split.train))
    return next((part, rows) for part, rows in parts if len(rows))


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
