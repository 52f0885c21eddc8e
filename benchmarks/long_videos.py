"""Long videos: the memory and the time of asl landmarks, asl predict and asl spot.

    python -m benchmarks.long_videos exports/NAME/model_float16.tflite VIDEO… --minutes 1 3 10

The videos are repeated for so many minutes, 320 × 240. Each command runs in a process of its own,
whose largest memory is printed. A landmarker that sees a person and hands at once stands in for the
real one, which takes minutes; `--real` takes the real one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asl.paths import PROJECT
from benchmarks import films

COMMANDS = ("landmarks", "predict", "spot")
SIZE = (320, 240)

_RUN = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from asl.video import extract

command, model, film, real = sys.argv[1:]
if real == "no":
    class Seen:
        def reset(self): self.random = np.random.default_rng(0)
        def __call__(self, picture): return self.random.random((543, 3), np.float32)
    seen = Seen()
    extract._landmarker = lambda: seen
start = time.monotonic()
if command == "landmarks":
    from asl.runs.landmarks import landmarks
    assert not landmarks([Path(film)], Path(film).parent / "clips", echo=lambda line: None)
elif command == "predict":
    from asl.runtime.recognise import recognise
    assert "signs" in list(recognise(model, [film], 5))[-1]
else:
    from asl.runtime.spotting import spot
    assert "segments" in list(spot(model, [film], None, None, 0.5, 30.0, False))[-1]
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([memory, time.monotonic() - start]))
"""


class Cost(NamedTuple):
    """Of one command on one video: largest memory in MB, and seconds."""

    memory: float
    seconds: float


def repeated(videos: Sequence[Path], frames: int) -> Iterator[np.ndarray]:
    """The pictures of videos, again and again, so many."""
    import cv2

    shown = [cv2.resize(each, SIZE) for video in videos for each in films.pictures(video, SIZE[0])]
    return islice(cycle(shown), frames)


def cost(command: str, model: Path, film: Path, real: bool = False) -> Cost:
    """Run a command's work on a video in a process of its own."""
    typed = [sys.executable, "-c", _RUN, command, str(model), str(film), "yes" if real else "no"]
    where = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(typed, env=where, check=True, stdout=subprocess.PIPE)
    return Cost(*json.loads(done.stdout))


def main() -> None:
    """Measure, and print a row for each command and length."""
    parser = argparse.ArgumentParser("python -m benchmarks.long_videos")
    parser.add_argument("model", type=Path, help="a .tflite of a free number of frames")
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 3, 10])
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--real", action="store_true", help="with the real landmarker")
    options: Any = parser.parse_args()
    print("| minutes | frames | command | MB | seconds |", "|---|---|---|---|---|", sep="\n")
    for minutes in options.minutes:
        frames = round(60 * minutes * options.fps)
        with tempfile.TemporaryDirectory() as folder:
            film = Path(folder) / "film.mp4"
            films.write(film, repeated(options.videos, frames), options.fps)
            for command in options.commands:
                memory, seconds = cost(command, options.model, film, options.real)
                row = f"{minutes:g} | {frames} | {command} | {memory:.0f} | {seconds:.0f}"
                print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
