"""asl runs: tracked runs, best first."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from asl.commands.settings import tracking_settings

if TYPE_CHECKING:
    from asl.tracking.averages import Average
    from asl.tracking.find import FoundRun

MARKS = {"split": "†", "val_protocol": "‡"}  # of numbers that new signers would not reach
PIPE_WIDTH = 200
METRICS = ("test/accuracy", "test/f1", "val/accuracy", "val/f1")


def main(arguments: Sequence[str]) -> None:
    """Print the table, or with --json a list of objects."""
    parser = argparse.ArgumentParser(
        "asl runs", description="Tracked runs, best first. tracking.uri=… names another store."
    )
    parser.add_argument("--metric", help="rank by this metric (default test/f1, else val/f1)")
    parser.add_argument("--data", help="only runs on this data set")
    parser.add_argument("--split", help="only runs whose protocol starts with this")
    parser.add_argument("--limit", type=int, default=None, help="at most so many runs")
    parser.add_argument(
        "--mean", action="store_true", help="average runs that differ in seed and held-out signers"
    )
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("overrides", nargs="*", help="tracking.uri=…")
    options = parser.parse_args(arguments)

    from asl.commands.parts import tracker
    from asl.tracking.averages import averages
    from asl.tracking.find import find_runs

    store = tracker(tracking_settings(options.overrides))
    runs = find_runs(store, options.metric, options.data, options.split)[: options.limit]
    shown = list(METRICS) if options.metric in (None, *METRICS) else [options.metric, *METRICS]
    if options.mean:
        _print_averages(averages(runs), shown, options.json)
    elif options.json:
        print(json.dumps([run.as_json() for run in runs], indent=2))
    elif not runs:
        print("no runs yet; `asl train` makes one")
    else:
        _print_table(runs, shown)


def _print_table(runs: "Sequence[FoundRun]", shown: Sequence[str]) -> None:
    table = _table("run", "status", "data", "split", numbers=shown)
    for run in runs:
        split = run.split + (f" {MARKS['split']}" if _mixed(run, "split") else "")
        table.add_row(run.name, run.status, run.data, split, *(_value(run, m) for m in shown))
    console = _console()
    console.print(table)
    if any(_mixed(run, "split") for run in runs):
        console.print(f"{MARKS['split']} not signer-independent: signers stand on both sides")
    if any(_mixed(run, "val_protocol") for run in runs):
        console.print(f"{MARKS['val_protocol']} measured on clips of signers that are trained on")


def _value(run: "FoundRun", metric: str) -> str:
    if metric not in run.metrics:
        return ""
    mixed = metric.startswith("val/") and _mixed(run, "val_protocol")
    return f"{run.metrics[metric]:.4f}" + (MARKS["val_protocol"] if mixed else "")


def _mixed(run: "FoundRun", protocol: str) -> bool:
    """Whether this protocol has the same signers on both sides."""
    return "not signer-independent" in run.tags.get(protocol, "")


def _print_averages(found: "Sequence[Average]", shown: Sequence[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(average) for average in found], indent=2))
        return
    table = _table("choices", "data", "split", numbers=["runs", *shown])
    for average in found:
        choices = " ".join(f"{name}={value}" for name, value in average.choices.items())
        values = [average.metrics.get(name) for name in shown]
        printed = [f"{value[0]:.4f} ± {value[1]:.4f}" if value else "" for value in values]
        table.add_row(choices, average.data, average.split, str(average.runs), *printed)
    _console().print(table)


def _table(*texts: str, numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(texts):
        table.add_column(heading, overflow="fold", min_width=8 if place else 20)
    for heading in numbers:
        table.add_column(heading.replace("/", "/\n"), justify="right", no_wrap=True)
    return table


def _console() -> Console:
    """As wide as the terminal; a pipe takes lines of any length."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
