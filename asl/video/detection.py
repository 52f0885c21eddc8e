"""The most certain detection of a single-shot detector, as MediaPipe's calculators make it.

Boxes are 4 numbers (centre, width, height) and then keypoints of 2, all relative to a fixed grid of
anchors (SSD, Liu et al. 2016). Overlapping boxes are averaged, weighted by their scores, as in
BlazeFace (Bazarevsky et al. 2019, section 2.4).
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

CERTAIN = 0.5
"""The score from which a detection counts."""

_OVERLAP = 0.3  # intersection over union from which boxes are averaged


def anchors(side: int, strides: Sequence[int]) -> np.ndarray:
    """The centres of the anchors, [n, 2], from 0 to 1.

    Args:
        side: of the model's picture, in pixels.
        strides: of the layers, in pixels; each has two anchors a cell, and layers of one stride
            share their cells.
    """
    grids = []
    for stride, layers in groupby(strides):
        cells = (np.arange(side // stride) + 0.5) / (side // stride)
        grid = np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2)
        grids.append(grid.repeat(2 * len(list(layers)), axis=0))
    return np.concatenate(grids)


def keypoints(
    boxes: np.ndarray, logits: np.ndarray, centres: np.ndarray, side: int
) -> np.ndarray | None:
    """The keypoints of the most certain detection, [k, 2] from 0 to 1; None where there is none.

    Args:
        boxes: of the model, [anchors, 4 + 2 k], in its pixels.
        logits: of the scores, [anchors].
        centres: of the anchors.
        side: of the model's picture, in pixels.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))  # of 100 float32 makes infinity
    rows = np.flatnonzero((scores >= CERTAIN) & (boxes[:, 2:4] > 0).all(axis=1))
    if not len(rows):
        return None
    boxes, scores = boxes[rows] / side, scores[rows]
    middles, sizes = boxes[:, :2] + centres[rows], boxes[:, 2:4]
    overlapping = _overlaps(middles, sizes, int(scores.argmax())) > _OVERLAP
    weights = scores[overlapping]
    points = boxes[:, 4:].reshape(len(boxes), -1, 2) + centres[rows][:, None]
    return np.einsum("b,bkc->kc", weights, points[overlapping]) / weights.sum()


def _overlaps(middles: np.ndarray, sizes: np.ndarray, chosen: int) -> np.ndarray:
    """Intersection over union of each box with a chosen one."""
    low, high = middles - sizes / 2, middles + sizes / 2
    shared = np.minimum(high, high[chosen]) - np.maximum(low, low[chosen])
    shared_area = shared.clip(0).prod(axis=1)
    areas = sizes.prod(axis=1)
    return shared_area / (areas + areas[chosen] - shared_area)
