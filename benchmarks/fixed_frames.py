"""A file that reads a fixed number of frames beside the free one, on every clip of a data set.

    asl export run=RUN export.frames=64 export.dir=DIR
    python -m benchmarks.fixed_frames DIR/model_float16.tflite DIR/model_float16_n64.tflite CLIPS

CLIPS is a folder in the competition's layout. Edge cases of its clips are compared, too. The fixed
file is given a clip with frames of NaN behind it; the free one the clip up to its last frame in
which anything was detected.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asl.clips.sources.gislr import GislrSource
from asl.export.parity.clips import edge_case_clips
from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.runtime.litert import Describer, load_all


def clips_of(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every clip with its path, then the edge cases of the first hundred."""
    source = GislrSource(folder)
    some: list[np.ndarray] = []
    for entry in source.listing().entries:
        clip = source.read(entry).clip
        yield entry.path, clip
        some = [*some, clip][:100]
    yield from edge_case_clips(some, MEDIAPIPE_HOLISTIC).items()


def until_last_detection(clip: np.ndarray) -> np.ndarray:
    """The clip up to its last frame in which anything was detected, at least one frame."""
    seen = np.flatnonzero(~np.isnan(clip).all(axis=(1, 2)))
    return clip[: seen[-1] + 1] if len(seen) else clip[:1]


def differences(
    free: Describer, fixed: Describer, clip: np.ndarray
) -> tuple[dict[str, float], bool]:
    """The largest difference of each output, and whether both name the same sign first."""
    one, other = free(until_last_detection(clip)), fixed(clip)
    same = one["outputs"].argmax() == other["outputs"].argmax()
    return {name: float(np.abs(one[name] - other[name]).max()) for name in one}, bool(same)


def main() -> None:
    """Compare, and print the largest differences."""
    parser = argparse.ArgumentParser("python -m benchmarks.fixed_frames")
    for name in ("free", "fixed", "clips"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    free, fixed = load_all(options.free), load_all(options.fixed)
    worst: dict[str, tuple[float, str]] = {}
    agree, longer = [], []
    for name, clip in clips_of(options.clips):
        try:
            found, same = differences(free, fixed, clip)
        except ValueError:  # it has more frames than the fixed file reads
            longer.append(name)
            continue
        agree.append(same)
        for output, difference in found.items():
            worst[output] = max(worst.get(output, (0.0, "")), (difference, name))
    print(f"{len(agree)} clips, the same top sign in {sum(agree)}")
    print(f"longer than the file reads: {', '.join(longer) or 'none'}")
    for output, (difference, name) in worst.items():
        print(f"{output}: {difference:.2g} ({name})")


if __name__ == "__main__":
    main()
