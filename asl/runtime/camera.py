"""The signs before a camera, while they are made."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asl.errors import UserError
from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.runtime.clips import WINDOW
from asl.runtime.labels import read_labels, read_threshold
from asl.runtime.litert import load_all
from asl.runtime.predict import Prediction
from asl.runtime.recognise import name

EVERY = 0.5
"""Seconds from one answer to the next."""


def recognise_camera(
    model_path: str | Path,
    number: int,
    top: int = 5,
    labels: str | Path | None = None,
    *,
    window: float = WINDOW,
    mirror: bool = False,
) -> Iterator[tuple[float, Prediction]]:
    """The signs of the last seconds, again and again; nothing while no hand is seen.

    Args:
        model_path: a .tflite, as for `asl.runtime.predict.predict`.
        number: of the camera, 0 for the first.
        top: number of signs.
        labels: a file with the signs; None for those in the model or beside it.
        window: seconds that are one clip.
        mirror: whether left and right are exchanged.

    Yields:
        Seconds since the first picture, and the signs with their probabilities.

    Raises:
        UserError: there is no such camera, the model cannot be used, or one of the landmarks is
            missing.
    """
    from asl.video import decode  # with OpenCV, which clips do without
    from asl.video.landmarker import Landmarker

    describe, landmarker = load_all(model_path), Landmarker()
    signs, threshold = read_labels(model_path, labels), read_threshold(model_path)
    frames: deque[tuple[float, np.ndarray]] = deque()
    start = answered = time.monotonic()
    for picture in decode.camera(number):
        shown = np.ascontiguousarray(picture[:, ::-1]) if mirror else picture
        frames.append((time.monotonic(), landmarker(shown)))
        now = frames[-1][0]
        while now - frames[0][0] > window:
            frames.popleft()
        if now - answered < EVERY:
            continue
        answered = now
        clip = np.stack([frame for _, frame in frames])
        if np.isnan(clip[:, MEDIAPIPE_HOLISTIC.hands]).all():
            continue
        try:
            yield now - start, name(describe(clip), signs, top, threshold)
        except IndexError as error:
            raise UserError(f"{model_path}: {error}") from error
