"""Clips that are most like a clip, among all that are compared."""

from typing import NamedTuple

import numpy as np

NEAREST = 3
"""Neighbours of a clip that are looked at."""

_BLOCK = 1024  # clips that are compared with all at once


class Neighbours(NamedTuple):
    """The nearest other clips of each clip, the nearest first.

    Attributes:
        rows: int64 [clips, neighbours]; -1 where there are fewer.
        distance: root mean square difference of the shapes, [clips, neighbours]; infinite there.
    """

    rows: np.ndarray
    distance: np.ndarray


def nearest(shapes: np.ndarray, compared: np.ndarray) -> Neighbours:
    """The nearest others of each clip.

    Args:
        shapes: float32 [clips, features].
        compared: which clips are, [clips]; the others have no neighbours and are none.
    """
    clips = len(shapes)
    rows = np.full((clips, NEAREST), -1)
    distance = np.full((clips, NEAREST), np.inf)
    some = np.flatnonzero(compared)
    count = min(NEAREST, len(some) - 1)
    if count < 1 or not shapes.shape[1]:
        return Neighbours(rows, distance)
    points = shapes[some] - shapes[some].mean(axis=0)
    squares = (points**2).sum(axis=1)
    for start in range(0, len(some), _BLOCK):
        mine = np.arange(start, min(start + _BLOCK, len(some)))
        far = squares[mine, None] + squares - 2 * points[mine] @ points.T  # [block, some]
        far[np.arange(len(mine)), mine] = np.inf
        near = np.argpartition(far, count - 1, axis=1)[:, :count]
        exact = np.sqrt(((points[near] - points[mine, None]) ** 2).mean(axis=2))
        order = np.argsort(exact, axis=1, kind="stable")
        rows[some[mine], :count] = some[np.take_along_axis(near, order, axis=1)]
        distance[some[mine], :count] = np.take_along_axis(exact, order, axis=1)
    return Neighbours(rows, distance)
