"""A hand: 21 landmarks, in a region that follows from the pose and from the frame before.

Models and constants are those of `mediapipe/modules/holistic_landmark` and `hand_landmark` in
MediaPipe 0.10.21 (Zhang et al. 2020, MediaPipe Hands).
"""

import numpy as np

from asl.video import regions
from asl.video.models import Model
from asl.video.pose import Pose
from asl.video.regions import Region, Tolerance

LANDMARKS = 21
LEFT, RIGHT = (15, 17, 19), (16, 18, 20)
"""Wrist, little finger and index finger among the landmarks of the pose."""

_RECROP, _SIDE = 256, 224  # pixels of the models' pictures
_VISIBLE, _PRESENT = 0.1, 0.5
_UP = -0.1  # by which regions are moved towards the fingers
_Z = 0.4  # the model's unit of z is this share of that of x
_PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
_STEADY = Tolerance(degrees=40, move=0.2, scale=0.4, margin=-0.1)


class HandTracker:
    """Finds one hand in one frame after the other of a video.

    Args:
        recropper: finds the hand's middle and size where the pose says that it is.
        landmarker: finds the landmarks in a region.
        joints: LEFT or RIGHT.
    """

    def __init__(
        self, recropper: Model, landmarker: Model, *, joints: tuple[int, int, int]
    ) -> None:
        self._recropper, self._landmarker, self._joints = recropper, landmarker, joints
        self._points: np.ndarray | None = None

    def __call__(self, picture: np.ndarray, pose: Pose | None) -> np.ndarray | None:
        """The landmarks in the next frame, [21, 3] in pixels; None where the hand is not seen."""
        if pose is None or pose.visibility[self._joints[0]] <= _VISIBLE:
            self._points = None
        else:
            found = self._recropped(picture, _by_pose(*pose.points[list(self._joints)]))
            before = None if self._points is None else _around_palm(self._points)
            region = regions.tracked(before, self._points, found, _STEADY)
            self._points = self._landmarks(picture, region)
        return self._points

    def _recropped(self, picture: np.ndarray, region: Region) -> Region:
        shown = regions.crop(picture, region, _RECROP, replicate=True)
        (values,) = self._recropper(shown * np.float32(1 / 255))
        points = values.reshape(2, 2).astype(np.float64) / _RECROP
        centre, rim = regions.to_picture(points, region)
        return regions.from_centre(centre, rim, -90, 1.0, _UP)

    def _landmarks(self, picture: np.ndarray, region: Region) -> np.ndarray | None:
        shown = regions.crop(picture, region, _SIDE, replicate=True)
        values, presence, *_ = self._landmarker(shown * np.float32(1 / 255))
        if presence.item() <= _PRESENT:
            return None
        points = values.reshape(LANDMARKS, 3).astype(np.float64) / _SIDE
        points[:, 2] /= _Z
        return regions.to_picture(points, region)


def _by_pose(wrist: np.ndarray, little: np.ndarray, index: np.ndarray) -> Region:
    middle = (2 * index + little) / 3
    side = 2 * float(np.hypot(*(middle - wrist)[:2]))
    box = (float(middle[0]), float(middle[1]), side, side)
    return regions.around(box, regions.turn(wrist, middle, 90), 2.7, _UP)


def _around_palm(points: np.ndarray) -> Region:
    """The region around the palm of the hand [21, 3], upright along the middle finger."""
    knuckles = (points[5] + points[13] + 2 * points[9]) / 4
    angle = regions.turn(points[0], knuckles, 90)
    palm = points[_PALM, :2]
    middle = np.array(regions.bounding_box(palm)[:2])
    turned = regions.turned(palm - middle, -angle)
    x, y, width, height = regions.bounding_box(turned)
    x, y = middle + regions.turned(np.array([[x, y]]), angle)[0]
    return regions.around((float(x), float(y), width, height), angle, 2.0, _UP)
