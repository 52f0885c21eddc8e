"""The face: 468 landmarks, in a region that follows from the pose and from the frame before.

Models and constants are those of `mediapipe/modules/holistic_landmark`, `face_detection` (short
range) and `face_landmark` in MediaPipe 0.10.21 (Kartynnik et al. 2019; BlazeFace, Bazarevsky et al.
2019).
"""

import numpy as np

from asl.video import detection, regions
from asl.video.models import Model
from asl.video.pose import Pose
from asl.video.regions import Region, Tolerance

LANDMARKS = 468
_DETECTOR, _SIDE = 128, 192  # pixels of the models' pictures
_ANCHORS = detection.anchors(_DETECTOR, (8, 16, 16, 16))
_HEAD = 11  # landmarks of the pose
_STEADY = Tolerance(degrees=15, move=0.1, scale=0.3, margin=-0.2)


class FaceTracker:
    """Finds the face in one frame after the other of a video.

    Args:
        detector: finds a face where the pose says that one is.
        landmarker: finds the landmarks in a region.
    """

    def __init__(self, detector: Model, landmarker: Model) -> None:
        self._detector, self._landmarker = detector, landmarker
        self._points: np.ndarray | None = None

    def __call__(self, picture: np.ndarray, pose: Pose | None) -> np.ndarray | None:
        """The landmarks in the next frame, [468, 3] in pixels; None where no face is seen."""
        found = None if pose is None else self._detected(picture, _by_pose(pose.points[:_HEAD]))
        if found is None:
            self._points = None
        else:
            before = None if self._points is None else _around_mesh(self._points)
            region = regions.tracked(before, self._points, found, _STEADY)
            self._points = self._landmarks(picture, region)
        return self._points

    def _detected(self, picture: np.ndarray, region: Region) -> Region | None:
        shown = regions.crop(picture, region, _DETECTOR, replicate=False)
        boxes, logits = self._detector(shown / np.float32(127.5) - 1)
        found = detection.keypoints(boxes[0], logits[0, :, 0], _ANCHORS, _DETECTOR)
        if found is None:
            return None
        points = regions.to_picture(found, region)
        angle = regions.turn(points[0], points[1], 0)
        return regions.around(regions.bounding_box(points), angle, 2.0, -0.1)

    def _landmarks(self, picture: np.ndarray, region: Region) -> np.ndarray | None:
        shown = regions.crop(picture, region, _SIDE, replicate=True)
        values, logit = self._landmarker(shown * np.float32(1 / 255))
        if logit.item() <= 0:
            return None
        points = values.reshape(LANDMARKS, 3).astype(np.float64) / _SIDE
        return regions.to_picture(points, region)


def _by_pose(head: np.ndarray) -> Region:
    return regions.around(regions.bounding_box(head), regions.turn(head[5], head[2], 0), 3.0)


def _around_mesh(points: np.ndarray) -> Region:
    angle = regions.turn(points[33], points[263], 0)
    return regions.around(regions.bounding_box(points), angle, 1.5)
