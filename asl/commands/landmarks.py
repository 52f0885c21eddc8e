"""asl landmarks: clips of landmarks from videos, by MediaPipe's models, without a network."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

OUT = "out="


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0, or 1 where a video gave no clip."""
    parser = argparse.ArgumentParser(
        "asl landmarks", description="A clip of landmarks for each video: VIDEO.parquet in out=DIR."
    )
    parser.add_argument("videos", metavar="VIDEO", nargs="*", type=Path, help="mp4, mov, webm, …")
    parser.add_argument("--mirror", action="store_true", help="exchange left and right (selfies)")
    parser.add_argument("--fps", type=float, default=30, metavar="N", help="at most; 0: all frames")
    parser.add_argument(
        "--get-models", nargs="?", const="", metavar="WHEEL", help="fetch the models, once; exit"
    )
    folders = [each.removeprefix(OUT) for each in arguments if each.startswith(OUT)]
    options = parser.parse_intermixed_args([each for each in arguments if not each.startswith(OUT)])

    from asl.errors import UserError
    from asl.runs.landmarks import landmarks
    from asl.terminal import printable
    from asl.video.models import fetch

    if options.get_models is not None:
        wheel = Path(options.get_models) if options.get_models else None
        print(*fetch(wheel), sep="\n")
        return 0
    if not options.videos or len(folders) != 1:
        raise UserError("landmarks needs videos and a folder: asl landmarks VIDEO… out=DIR")
    rate = options.fps or None
    problems = landmarks(options.videos, Path(folders[0]), mirror=options.mirror, fps=rate)
    for problem in problems:
        print(printable(f"asl landmarks: {problem}"), file=sys.stderr)
    return 1 if problems else 0
