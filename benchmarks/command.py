"""What the benchmarks' commands share: their options, and how small a trial run is."""

import argparse
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "bench"
SMALL = ("data.source.signs=2", "data.source.signers=4", "data.source.clips_per_sign=4")


def options(name: str, about: str | None) -> argparse.ArgumentParser:
    """The options of `python -m benchmarks.NAME`."""
    parser = plain_options(name, about)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    return parser


def plain_options(name: str, about: str | None) -> argparse.ArgumentParser:
    """The options of a benchmark whose size is that of the runs that are typed."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for data and results")
    return parser
