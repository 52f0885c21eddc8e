"""Recognizers without a network: what a person would try first, on the same features.

Each is given training clips as features of evenly many time steps, and scores of test clips are
their answer, the highest of the most probable sign.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.float32]
"""Features of clips, [clips, steps, features], finite everywhere."""

Scores = NDArray[np.float32]
"""[clips, signs]; finite, the highest of the most probable sign."""

BAND = 4
"""Steps by which two clips may run ahead of one another, of 32: Sakoe and Chiba's band."""

PENALTY = 10.0
"""An RBF-SVM's C."""

_AT_ONCE = 32  # test clips: what is held is as large as their distances to all training clips


def rbf_svm(train: Steps, signs: NDArray[np.int64], test: Steps, count: int) -> Scores:
    """A support vector machine with a radial kernel on all steps of a clip, one sign against one.

    Cortes and Vapnik 1995; scikit-learn's SVC, C = 10, gamma = 1 / (features × variance), features
    scaled to mean 0 and deviation 1.

    Args:
        train: training clips.
        signs: index of the sign of each.
        test: clips to be recognised.
        count: of all signs; one without a training clip is never recognised.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    machine = make_pipeline(StandardScaler(), SVC(C=PENALTY, decision_function_shape="ovr"))
    machine.fit(_flat(train), signs)
    margins: NDArray[Any] = machine.decision_function(_flat(test))
    if margins.ndim == 1:  # of two signs
        margins = np.stack([-margins, margins], axis=1)
    scores = np.full((len(test), count), margins.min() - 1, np.float32)
    scores[:, machine.classes_] = margins
    return scores


def dtw(train: Steps, signs: NDArray[np.int64], test: Steps, count: int) -> Scores:
    """The nearest training clip after both are stretched in time to fit each other best.

    Sakoe and Chiba 1978, "Dynamic programming algorithm optimization for spoken word recognition";
    a sign's score is minus the distance of its nearest clip.

    Args:
        train: training clips.
        signs: index of the sign of each.
        test: clips to be recognised.
        count: of all signs; one without a training clip is never recognised.
    """
    scores = np.full((len(test), count), -np.inf, np.float32)
    for start in range(0, len(test), _AT_ONCE):
        near = -dtw_distances(test[start : start + _AT_ONCE], train)
        for sign in np.unique(signs):
            scores[start : start + len(near), sign] = near[:, signs == sign].max(axis=1)
    return np.where(np.isfinite(scores), scores, scores[np.isfinite(scores)].min() - 1)


def dtw_distances(ones: Steps, others: Steps, band: int = BAND) -> NDArray[np.float32]:
    """The distance of every clip to every other, [ones, others].

    It is the least sum of Euclidean distances between steps along a path from the first to the last
    step of both, which never goes back and strays from the diagonal by at most `band` steps.

    Args:
        ones: clips.
        others: clips of as many steps.
        band: in steps.
    """
    steps, shape = ones.shape[1], (len(ones), len(others))
    wall = np.full(shape, np.inf, np.float32)
    before = [np.zeros(shape, np.float32), *([wall] * steps)]  # of the step before, by 1 + column
    for row in range(steps):
        sums = [wall] * (steps + 1)
        for column in range(max(0, row - band), min(steps, row + band + 1)):
            least = np.minimum(np.minimum(before[column], before[column + 1]), sums[column])
            sums[column + 1] = least + _distances(ones[:, row], others[:, column])
        before = sums
    return before[steps]


def _distances(ones: Steps, others: Steps) -> NDArray[np.float32]:
    """Euclidean distances between points `[n, features]` and `[m, features]`, [n, m]."""
    squares = (ones**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None]
    return np.sqrt(np.maximum(squares - 2 * ones @ others.T, 0))


def _flat(clips: Steps) -> Steps:
    return clips.reshape(len(clips), -1)


BASELINES: dict[str, Callable[[Steps, NDArray[np.int64], Steps, int], Scores]] = {
    "rbf_svm": rbf_svm,
    "dtw": dtw,
}
"""By name."""
