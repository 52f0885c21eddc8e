"""The frames of a video file or a camera, one at a time."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from asl.errors import UserError

# A broken file is reported once, in a sentence, and not by each library in its own words.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_RATE_SLACK = 1.1  # a video of 31 frames a second is not thinned to 30


class BadVideo(UserError):  # noqa: N818 - names a thing in the data
    """A video that cannot be used.

    Attributes:
        reason: what is wrong with it, as the end of a sentence.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


class Video(NamedTuple):
    """A video file that can be read.

    Attributes:
        path: the file.
        rate: frames a second; 0 where the file does not say.
        frames: how many the file says that it has; 0 where it does not.
    """

    path: Path
    rate: float
    frames: int


def open_video(path: Path) -> Video:
    """What a file says of its video.

    Raises:
        BadVideo: it is missing, empty, or no video.
        OSError: it cannot be read.
    """
    capture = _opened(path)
    rate, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    return Video(path, rate if 0 < rate < 1000 else 0.0, max(0, int(frames)))


def read(video: Video, fps: float | None = None) -> Iterator[np.ndarray]:
    """The frames, upright as a player shows them, uint8 [height, width, 3], red first.

    Args:
        video: the file.
        fps: frames a second at most; those between are left out. None for all frames.

    Raises:
        BadVideo: no frame can be decoded.
    """
    capture, share = _opened(video.path), thinning(video, fps)
    count = 0
    try:
        while capture.grab():
            if math.floor(count * share) > math.floor((count - 1) * share):
                decoded, picture = capture.retrieve()
                if not decoded:
                    break
                yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            count += 1
    finally:
        capture.release()
    if not count:
        raise BadVideo(video.path, "has no frame that can be decoded")


def thinning(video: Video, fps: float | None) -> float:
    """The share of a video's frames that `read` gives."""
    if fps is None or video.rate <= fps * _RATE_SLACK:
        return 1.0
    return fps / video.rate


def _opened(path: Path) -> cv2.VideoCapture:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
        name = str(path).encode().decode()  # OpenCV opens names of UTF-8 alone
    except (FileNotFoundError, IsADirectoryError) as error:
        raise BadVideo(path, "there is no such file") from error
    except UnicodeEncodeError as error:
        raise BadVideo(path, "has a name that is not UTF-8; rename it") from error
    if empty:
        raise BadVideo(path, "is empty (0 bytes)")
    capture = cv2.VideoCapture(name)
    if not capture.isOpened():
        raise BadVideo(path, "is no video that can be decoded, or a broken one")
    return capture


def camera(number: int) -> Iterator[np.ndarray]:
    """The frames of a camera until it stops, as those of `read`.

    Raises:
        UserError: there is no such camera.
    """
    capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise UserError(f"--camera={number}: there is no camera of this number")
        while True:
            taken, picture = capture.read()
            if not taken:
                return
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
