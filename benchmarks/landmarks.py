"""The landmarker beside MediaPipe 0.10.21, which runs in an environment of its own.

    python3.11 -m venv data/mediapipe
    data/mediapipe/bin/python -m pip install --no-deps mediapipe==0.10.21
    data/mediapipe/bin/python -m pip install absl-py attrs flatbuffers "numpy<2" "protobuf<5" \
        matplotlib "opencv-python-headless<4.12"
    python -m benchmarks.landmarks data/mediapipe/bin/python VIDEO…

Both get the same decoded pictures. The two take turns, frame by frame, so that another process
slows both.
"""

import argparse
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.runtime.litert import load
from asl.video import decode
from asl.video.landmarker import Landmarker

NEAR = 0.01
"""Of the picture's width: how far a landmark may be from MediaPipe's."""

_PARTS = MEDIAPIPE_HOLISTIC.parts

_REFERENCE = """
import sys, time
import numpy as np, mediapipe
height, width = map(int, sys.argv[1:])
find = mediapipe.solutions.holistic.Holistic()
names = ("face", "left_hand", "pose", "right_hand")
counts = {"face": 468, "left_hand": 21, "pose": 33, "right_hand": 21}
while len(data := sys.stdin.buffer.read(height * width * 3)) == height * width * 3:
    picture = np.frombuffer(data, np.uint8).reshape(height, width, 3)
    start = time.perf_counter(), time.process_time()
    found = find.process(picture)
    seconds = time.perf_counter() - start[0], time.process_time() - start[1]
    parts = [getattr(found, name + "_landmarks") for name in names]
    points = [
        [(p.x, p.y, p.z) for p in part.landmark] if part else [(np.nan,) * 3] * counts[name]
        for name, part in zip(names, parts)
    ]
    answer = np.concatenate([np.asarray(each, np.float32) for each in points])
    sys.stdout.buffer.write(np.array(seconds, np.float32).tobytes() + answer.tobytes())
    sys.stdout.buffer.flush()
"""


class Compared(NamedTuple):
    """The results of two landmarkers on one video.

    Attributes:
        ours, theirs: float32 [frames, 543, 3].
        our_seconds, their_seconds: of each frame, by the clock and of the processor.
        shape: height and width of the picture.
    """

    ours: np.ndarray
    theirs: np.ndarray
    our_seconds: np.ndarray
    their_seconds: np.ndarray
    shape: tuple[int, int]


Find = Callable[[np.ndarray], tuple[np.ndarray, tuple[float, float]]]
"""A picture to its landmarks, and the seconds that they took, by the clock and of the processor."""


def compare(python: str, path: Path, itself: bool) -> Compared:
    """Run both landmarkers on a video.

    Args:
        python: of the environment with MediaPipe.
        path: the video.
        itself: compare MediaPipe with itself instead, on pictures in which one value in a hundred
            is changed by one: no landmarker can be expected to agree better than that.
    """
    pictures = list(decode.read(decode.open_video(path)))
    height, width = pictures[0].shape[:2]
    with mediapipe(python, height, width) as reference:
        if itself:
            with mediapipe(python, height, width) as other:
                results = [(other(_disturbed(each)), reference(each)) for each in pictures]
        else:
            landmarker = Landmarker()
            results = [(_timed(landmarker, each), reference(each)) for each in pictures]
    ours, theirs = zip(*results, strict=True)
    landmarks = [np.array([found for found, _ in who]) for who in (ours, theirs)]
    seconds = [np.array([taken for _, taken in who]) for who in (ours, theirs)]
    return Compared(landmarks[0], landmarks[1], seconds[0], seconds[1], (height, width))


def _timed(landmarker: Landmarker, picture: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    start = time.perf_counter(), time.process_time()
    landmarks = landmarker(picture)
    return landmarks, (time.perf_counter() - start[0], time.process_time() - start[1])


@contextmanager
def mediapipe(python: str, height: int, width: int) -> Iterator[Find]:
    """MediaPipe in a process of its own."""
    command = [python, "-c", _REFERENCE, str(height), str(width)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        into, out = process.stdin, process.stdout

        def find(picture: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
            into.write(picture.tobytes())
            into.flush()
            answer = np.frombuffer(out.read(8 + 543 * 12), np.float32)
            return answer[2:].reshape(543, 3), (float(answer[0]), float(answer[1]))

        yield find
        into.close()


def _disturbed(picture: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(int(picture.sum()))
    change = random.choice([-1, 1], picture.shape) * (random.random(picture.shape) < 0.01)
    return (picture + change).clip(0, 255).astype(np.uint8)


def furthest(both: Compared, rows: range) -> np.ndarray:
    """How far a part's furthest landmark is from MediaPipe's in each frame, in widths.

    NaN where one of the two sees none.
    """
    height, width = both.shape
    apart = (both.ours - both.theirs)[:, rows.start : rows.stop, :2] * (1, height / width)
    return np.hypot(apart[..., 0], apart[..., 1]).max(axis=1)


def present(clip: np.ndarray, rows: range) -> np.ndarray:
    """Whether each frame has the part."""
    return ~np.isnan(clip[:, rows.start, 0])


def report(name: str, videos: Sequence[Compared]) -> None:
    """Print a row for each part, and the times."""
    for part, rows in _PARTS.items():
        apart = np.concatenate([furthest(both, rows) for both in videos])
        ours = np.concatenate([present(both.ours, rows) for both in videos])
        theirs = np.concatenate([present(both.theirs, rows) for both in videos])
        seen = apart[~np.isnan(apart)]
        figures = "– | – | –"
        if len(seen):
            figures = f"{(seen < NEAR).mean():.3f} | {np.median(seen):.5f} | {seen.max():.4f}"
        agree = (ours == theirs).mean()
        print(f"| {name} | {part} | {len(ours)} | {len(seen)} | {figures} | {agree:.3f} |")
    for column, what in enumerate(("by the clock", "of the processor")):
        mine, other = (
            np.median(np.concatenate([getattr(each, who)[1:, column] for each in videos])) * 1e3
            for who in ("our_seconds", "their_seconds")
        )
        ratio = f"{mine:.1f} ms, MediaPipe {other:.1f} ms: {mine / other:.2f} ×"
        print(f"{name}, a frame {what}: {ratio}")


def main() -> None:
    """Compare on the videos that are named."""
    parser = argparse.ArgumentParser("python -m benchmarks.landmarks")
    parser.add_argument("python", help="of the environment with MediaPipe 0.10.21")
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--model", help="a .tflite, whose top sign for both should be the same")
    parser.add_argument("--itself", action="store_true", help="MediaPipe beside itself")
    options = parser.parse_args()
    head = "video | part | frames | both see it | all within 1 % | median | worst | presence agrees"
    print(f"| {head} |", "|---|---|---|---|---|---|---|---|", sep="\n")
    done = []
    for path in options.videos:
        done.append(compare(options.python, path, options.itself))
        report(path.stem, done[-1:])
        if options.model:
            recognise = load(options.model)
            best = [int(recognise(clip).argmax()) for clip in done[-1][:2]]
            print(
                f"{path.stem}: {'the same top sign' if best[0] == best[1] else 'ANOTHER top sign'}"
            )
    report("all", done)


if __name__ == "__main__":
    main()
