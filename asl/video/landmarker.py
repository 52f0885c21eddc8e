"""The landmarks of one person in the frames of a video, as MediaPipe Holistic 0.10.21 does."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.video import hands
from asl.video.face import FaceTracker
from asl.video.hands import HandTracker
from asl.video.models import Model
from asl.video.pose import Pose, PoseTracker

_PARTS = MEDIAPIPE_HOLISTIC.parts

Tracker = Callable[[np.ndarray, Pose | None], np.ndarray | None]
"""A picture and the pose in it to the landmarks of another part, in pixels."""


class Landmarker:
    """Finds the landmarks in one frame after the other of a video.

    It follows the person, so each video needs a landmarker of its own, or `reset` before it.

    Raises:
        UserError: a model is missing or another one.
    """

    def __init__(self) -> None:
        def some(*names: str) -> list[Model]:
            return [Model(name) for name in names]

        self._pose_models = some("pose_detection", "pose_landmark_full")
        # Each hand has models of its own: they run at the same time.
        self._left_models = some("hand_recrop", "hand_landmark_full")
        self._right_models = some("hand_recrop", "hand_landmark_full")
        self._face_models = some("face_detection_short_range", "face_landmark")
        self._threads = ThreadPoolExecutor(3, "landmarker")
        self.reset()

    def reset(self) -> None:
        """Forget the frames before: another video follows."""
        self._pose = PoseTracker(*self._pose_models)
        self._rest: dict[str, Tracker] = {
            "face": FaceTracker(*self._face_models),
            "left_hand": HandTracker(*self._left_models, joints=hands.LEFT),
            "right_hand": HandTracker(*self._right_models, joints=hands.RIGHT),
        }

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The landmarks in the next frame.

        Args:
            picture: uint8 [height, width, 3], red first.

        Returns:
            float32 [543, 3] in the order of the competition's files: x as a share of the width, y
            of the height, z of the width; NaN where a part is not seen.
        """
        pose = self._pose(picture)
        tasks = {n: self._threads.submit(find, picture, pose) for n, find in self._rest.items()}
        found = {name: task.result() for name, task in tasks.items()}
        found["pose"] = None if pose is None else pose.points
        landmarks = np.full((MEDIAPIPE_HOLISTIC.size, 3), np.nan, np.float32)
        height, width = picture.shape[:2]
        for part, points in found.items():
            if points is not None:
                landmarks[_PARTS[part].start : _PARTS[part].stop] = points / (width, height, width)
        return landmarks
