"""The pose: 33 landmarks of the most prominent person, followed from frame to frame.

Models and constants are those of `mediapipe/modules/pose_detection` and `pose_landmark` in
MediaPipe 0.10.21 (BlazePose, Bazarevsky et al. 2020).
"""

from typing import NamedTuple

import numpy as np

from asl.video import detection, regions
from asl.video.models import Model
from asl.video.regions import Region
from asl.video.smoothing import LowPass, OneEuro

LANDMARKS = 33
_DETECTOR, _SIDE = 224, 256  # pixels of the models' pictures
_ANCHORS = detection.anchors(_DETECTOR, (8, 16, 32, 32, 32))
_PRESENT = 0.5
_ENLARGED = 1.25
_KERNEL, _CONFIDENT = 9, 0.5  # of the heatmap; the graph says 7, its output is that of 9


class Pose(NamedTuple):
    """The pose in one frame.

    Attributes:
        points: [33, 3], x and y in pixels of the picture, z in pixels too.
        visibility: [33], 0 to 1, smoothed.
    """

    points: np.ndarray
    visibility: np.ndarray


class PoseTracker:
    """Finds the pose in one frame after the other of a video.

    Args:
        detector: finds a person in a whole picture.
        landmarker: finds the landmarks in a region.
    """

    def __init__(self, detector: Model, landmarker: Model) -> None:
        self._detector, self._landmarker = detector, landmarker
        self._lose()

    def _lose(self) -> None:
        self._region: Region | None = None
        self._smooth_points, self._smooth_rim = OneEuro(0.05, 80), OneEuro(0.01, 10)
        self._smooth_visibility = LowPass(0.1)

    def __call__(self, picture: np.ndarray) -> Pose | None:
        """The pose in the next frame, uint8 [height, width, 3]; None where nobody is seen."""
        region = self._region or self._detected(picture)
        seen = None if region is None else self._landmarks(picture, region)
        if seen is None:
            self._lose()
            return None
        points, visibility, (centre, rim) = seen
        scale = 2 * float(np.hypot(*(rim - centre)[:2]))
        pose = Pose(self._smooth_points(points, scale), self._smooth_visibility(visibility))
        centre, rim = self._smooth_rim(np.stack([centre, rim]), scale)
        self._region = regions.from_centre(centre, rim, 90, _ENLARGED)
        return pose

    def _detected(self, picture: np.ndarray) -> Region | None:
        region = regions.whole(picture.shape[1], picture.shape[0])
        shown = regions.crop(picture, region, _DETECTOR, replicate=False)
        boxes, logits = self._detector(shown / np.float32(127.5) - 1)
        found = detection.keypoints(boxes[0], logits[0, :, 0], _ANCHORS, _DETECTOR)
        if found is None:
            return None
        hips, rim = regions.to_picture(found, region)[:2]
        return regions.from_centre(hips, rim, 90, _ENLARGED)

    def _landmarks(
        self, picture: np.ndarray, region: Region
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Points [33, 3], their visibility, and the two points [2, 3] of the next region."""
        shown = regions.crop(picture, region, _SIDE, replicate=True)
        values, presence, _, heatmap, _ = self._landmarker(shown * np.float32(1 / 255))
        if presence.item() <= _PRESENT:
            return None
        values = values.reshape(-1, 5)[: LANDMARKS + 2]
        points = _refined(values[:, :3] / _SIDE, heatmap[0])
        placed = regions.to_picture(points.astype(np.float64), region)
        visibility = 1 / (1 + np.exp(-values[:LANDMARKS, 3]))
        return placed[:LANDMARKS], visibility, placed[LANDMARKS:]


def _refined(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Points moved to the mean place that the heatmap gives around them, where it is confident.

    Args:
        points: [n, 3], x and y from 0 to 1.
        heatmap: logits [height, width, n or more].
    """
    size = np.array(heatmap.shape[1::-1])
    cells = (points[:, :2] * size).astype(int)  # [n, 2]: column, row
    reach = np.arange(_KERNEL) - _KERNEL // 2
    columns, rows = cells[:, 0, None] + reach, cells[:, 1, None] + reach  # [n, kernel]
    rows_within, columns_within = (
        (rows >= 0) & (rows < size[1]),
        (columns >= 0) & (columns < size[0]),
    )
    logits = heatmap[
        rows.clip(0, size[1] - 1)[:, :, None],
        columns.clip(0, size[0] - 1)[:, None],
        np.arange(len(points))[:, None, None],
    ]
    within = rows_within[:, :, None] & columns_within[:, None]
    confidence = within / (1 + np.exp(-logits))  # [n, kernel, kernel]
    column = (confidence.sum(axis=1) * columns).sum(axis=1)
    row = (confidence.sum(axis=2) * rows).sum(axis=1)
    # As in MediaPipe, a point below the picture is refined and one beside or above it is not.
    inside = (cells >= 0).all(axis=1) & (cells[:, 0] < size[0])
    sure = inside & (confidence.max(axis=(1, 2)) >= _CONFIDENT)
    total = confidence.sum(axis=(1, 2))[sure, None]
    refined = points.copy()
    refined[sure, :2] = np.stack([column, row], axis=1)[sure] / size / total
    return refined
