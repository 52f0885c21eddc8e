"""A video as a clip of landmarks."""

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.video import decode
from asl.video.decode import BadVideo, Video
from asl.video.landmarker import Landmarker

FPS = 30.0
"""Frames a second, as the competition's clips have them."""

MOST_FRAMES = 32_767
"""Of a clip: the frame numbers of the competition's files have 16 bits."""

_POSE = MEDIAPIPE_HOLISTIC.parts["pose"]
_COMPLETE = 0.9  # share of the promised frames without which a video counts as broken off


class Extraction(NamedTuple):
    """What the landmarker saw in a video.

    Attributes:
        clip: float32 [frames, 543, 3], NaN = not detected.
        rate: frames a second; 0 where the file does not say.
        note: what is odd about the video, though it can be used; empty where nothing is.
    """

    clip: np.ndarray
    rate: float
    note: str


def extract(
    path: Path,
    *,
    mirror: bool = False,
    fps: float | None = FPS,
    advance: Callable[[int], object] = lambda frames: None,
) -> Extraction:
    """The landmarks of a video; besides them one picture is held at a time.

    Args:
        path: the file.
        mirror: whether left and right are exchanged first, as a selfie camera's mirrored recording
            needs it.
        fps: frames a second at most; those between are left out. None for all frames.
        advance: called at each frame with the number of frames that the file promises.

    Raises:
        BadVideo: it cannot be decoded, shows no person, or is longer than 32,767 frames.
        UserError: a model is missing.
    """
    video = decode.open_video(path)
    step = decode.thinning(video, fps)
    promised = int(video.frames * step)

    def frames() -> Iterator[np.ndarray]:
        found = showing_a_person(path, landmarks_of(video, mirror, fps))
        for number, frame in enumerate(found):
            if number == MOST_FRAMES:
                raise BadVideo(path, f"has more than {MOST_FRAMES:,} frames; cut it into pieces")
            advance(promised)
            yield frame

    # A list of frames and then their array would take twice the memory.
    clip = np.fromiter(frames(), np.dtype((np.float32, (MEDIAPIPE_HOLISTIC.size, 3))))
    broken = len(clip) < promised * _COMPLETE
    note = f"breaks off after {len(clip)} of {promised} frames" if broken else ""
    return Extraction(clip, video.rate * step, note)


def landmarks_of(
    video: Video, mirror: bool = False, fps: float | None = FPS
) -> Iterator[np.ndarray]:
    """The landmarks in one frame after the other, float32 [543, 3], NaN = not detected.

    Args:
        video: the file.
        mirror: whether left and right are exchanged first.
        fps: frames a second at most; None for all.

    Raises:
        BadVideo: it cannot be decoded.
        UserError: a model is missing.
    """
    landmarker = _landmarker()
    landmarker.reset()
    for picture in decode.read(video, fps):
        yield landmarker(cv2.flip(picture, 1) if mirror else picture)


def showing_a_person(path: Path, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The landmarks in the frames of a video.

    Raises:
        BadVideo: at their end, where none showed a person.
    """
    count, seen = 0, False
    for frame in frames:
        count += 1
        seen = seen or not np.isnan(frame[_POSE.start, 0])
        yield frame
    if not seen:
        raise BadVideo(path, f"shows no person in any of its {count} frames")


@functools.cache
def _landmarker() -> Landmarker:
    """One for all videos of this process: opening the models takes half a second."""
    return Landmarker()
