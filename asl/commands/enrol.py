"""asl enrol: clips of a person, or of a new sign, written into an exported file."""

import argparse
import sys
from collections.abc import Sequence

from asl.errors import UserError
from asl.terminal import printable

KEYS = ("sign", "out")


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0, or 1 where a clip was left out or the file failed its check."""
    parser = argparse.ArgumentParser(
        "asl enrol",
        description="Teach an exported .tflite how a person signs, or a new sign, by examples, "
        "without training. sign=NAME names the sign of all clips; else train.csv or clips.yaml "
        "does, or a clip's folder that has the name of a known sign. out=FILE writes another file.",
    )
    parser.add_argument("model", metavar="FILE.tflite", help="as asl export writes it")
    parser.add_argument("clips", metavar="CLIP", nargs="*", help="what asl predict reads")
    parser.add_argument("--mirror", action="store_true", help="exchange left and right of videos")
    parser.add_argument("--forget", action="store_true", help="take out what was enrolled before")
    pairs = dict(each.split("=", 1) for each in arguments if each.partition("=")[0] in KEYS)
    rest = [each for each in arguments if each.partition("=")[0] not in KEYS]
    options = vars(parser.parse_intermixed_args(rest))

    from asl.export import ExportError
    from asl.export.enrol import enrol

    try:
        done = enrol(
            options.pop("model"),
            options.pop("clips"),
            pairs.get("sign"),
            pairs.get("out"),
            **options,
        )
    except ExportError as error:
        raise UserError(f"nothing was written: {error}") from error
    new = f", {len(done.new)} new signs: {', '.join(done.new)}" if done.new else ""
    total = sum(done.clips.values())
    text = f"{done.path}: {done.added} clips added, now {total} of {len(done.clips)} signs{new}"
    print(printable(text))
    for path, reason in done.problems.items():
        print(printable(f"asl enrol: {path}: {reason}"), file=sys.stderr)
    return 1 if done.problems else 0
