"""Videos as browsers play them, H.264, made of others: for tests and benchmarks."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np

from asl.video import decode


def pictures(video: Path, width: int, frames: int | None = None) -> Iterator[np.ndarray]:
    """The first pictures of a video, or all, scaled to a width; red first."""
    for picture in islice(decode.read(decode.open_video(video)), frames):
        height = 2 * round(picture.shape[0] * width / picture.shape[1] / 2)  # H.264 wants it even
        yield cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def write(path: Path, shown: Iterable[np.ndarray], rate: int = 30) -> Path:
    """Write pictures, uint8 [height, width, 3], red first, as an .mp4 of H.264."""
    import av

    rest = iter(shown)
    first = next(rest)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(rate), options={"preset": "veryfast"})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in chain([first], rest):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())
    return path
