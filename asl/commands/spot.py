"""asl spot: the signs in long recordings, by an exported .tflite, as files for ELAN and tables."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from asl.errors import UserError
from asl.runs.spot import FORMS, THRESHOLD, spot
from asl.runtime.clips import RATE
from asl.terminal import printable

OUT = "out="


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0, or 1 where a recording could not be read."""
    parser = argparse.ArgumentParser(
        "asl spot",
        description="Find the signs in long videos, or in long clips of landmarks: NAME.csv, "
        "NAME.eaf (ELAN) and NAME.json of each in out=DIR; without it, a line for each sign.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="FILE.tflite")
    add("recordings", metavar="VIDEO", nargs="*", help="what asl predict reads, however long")
    add("--format", metavar="FORM,…", default=",".join(FORMS), help="of the files (%(default)s)")
    add("--labels", metavar="FILE", help="the signs, where the .tflite has none")
    add("--window", type=float, metavar="S", help="seconds (default: as of the training clips)")
    add("--threshold", type=float, default=THRESHOLD, metavar="P", help="default %(default)s")
    add("--fps", type=float, default=RATE, metavar="N", help="of landmarks; of videos, at most")
    add("--mirror", action="store_true", help="exchange left and right of videos")
    add("--replace", action="store_true", help="write files that are there again")
    folders = [each.removeprefix(OUT) for each in arguments if each.startswith(OUT)]
    options = parser.parse_intermixed_args([each for each in arguments if not each.startswith(OUT)])
    if not options.recordings or len(folders) > 1:
        raise UserError("spot needs a model and recordings: asl spot MODEL VIDEO… out=DIR")
    problems = spot(
        options.model,
        options.recordings,
        Path(folders[0]) if folders else None,
        options.format.split(","),
        labels=options.labels,
        window=options.window,
        threshold=options.threshold,
        fps=options.fps,
        mirror=options.mirror,
        replace=options.replace,
    )
    for problem in problems:
        print(printable(f"asl spot: {problem}"), file=sys.stderr)
    return 1 if problems else 0
