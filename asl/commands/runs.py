"""asl runs: tracked runs, best first."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from asl.commands.tables import console, plain_table
from asl.config.compose import tracking_settings
from asl.errors import UserError
from asl.tracking.averages import averages
from asl.tracking.database import list_runs
from asl.tracking.found import best_first
from asl.tracking.table import (
    COLUMNS,
    METRICS,
    MIXED_TEST,
    MIXED_VAL,
    cell,
    check_columns,
    in_order,
    like_with_like,
    mean_cell,
    none_fits,
    of_kind_since,
    tested_on,
)

if TYPE_CHECKING:
    from rich.table import Table

    from asl.tracking.averages import Average
    from asl.tracking.found import FoundRun

MIXED_TEST_MEANING = (
    "not signer-independent: test signers are trained on, or the test clips chose the epoch"
)
MIXED_VAL_MEANING = f"{MIXED_VAL} measured on clips of signers that are trained on"


def main(arguments: Sequence[str]) -> None:
    """Print the table, or with --json a list of objects."""
    parser = argparse.ArgumentParser(
        "asl runs", description="Tracked runs, best first. tracking.uri=… names another store."
    )
    parser.add_argument("--metric", help="rank by this metric (default test/f1, else val/f1)")
    parser.add_argument("--data", help="only runs on this data set")
    parser.add_argument("--split", help="only runs whose protocol starts with this")
    parser.add_argument("--kind", help="only runs of this kind: train, crossval, evaluate, …")
    parser.add_argument("--since", help="only runs started on this day or later: 2026-11-26")
    parser.add_argument("--sort", metavar="COLUMN", help="sort by started, a parameter or a metric")
    parser.add_argument("--columns", help="columns to show: started,model,optimizer.lr,test/f1")
    parser.add_argument("--limit", type=int, default=None, help="at most so many rows")
    parser.add_argument(
        "--mean", action="store_true", help="average runs that differ in seed and held-out signers"
    )
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("overrides", nargs="*", help="tracking.uri=…")
    options = parser.parse_args(arguments)

    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit={options.limit}: choose 1 or more")
    if options.mean and (options.sort or options.columns):
        raise UserError("--mean: has columns and an order of its own; leave out --sort, --columns")
    tracked = list_runs(tracking_settings(options.overrides))
    runs = [run for run in tracked if options.data in (None, run.data)]
    runs = best_first(runs, options.metric, options.split)
    runs = of_kind_since(runs, options.kind, options.since)
    columns = options.columns.split(",") if options.columns else list(COLUMNS)
    check_columns([*columns, *filter(None, [options.sort])], runs)
    if options.sort:
        runs = in_order(runs, options.sort)
    elif not options.metric:
        runs = like_with_like(runs)
    shown = list(METRICS) if options.metric in (None, *METRICS) else [options.metric, *METRICS]
    if options.mean:
        rows = sorted(averages(runs, shown[:1]), key=lambda row: not row.test_signer_independent)
        _print_averages(rows[: options.limit], shown, options.json)
    elif options.json:
        print(json.dumps([run.as_json() for run in runs[: options.limit]], indent=2))
    elif not runs:
        print(none_fits(tracked) if tracked else "no runs yet; `asl train` makes one")
    else:
        more = [options.metric] if options.metric and options.metric not in columns else []
        _print_table(runs[: options.limit], [*columns, *more])


def _print_table(runs: "Sequence[FoundRun]", columns: Sequence[str]) -> None:
    measured = {name for run in runs for name in run.metrics} | set(METRICS)
    texts = [column for column in columns if column not in measured]
    numbers = [column for column in columns if column in measured]
    table = plain_table("run", *texts, numbers=numbers)
    for run in runs:
        table.add_row(run.name, *(cell(run, column) for column in [*texts, *numbers]))
    _print_with_marks(table, runs)


def _print_with_marks(table: "Table", rows: "Sequence[FoundRun | Average]") -> None:
    """The table, and what the marks in it mean."""
    out = console()
    out.print(table)
    if not all(row.test_signer_independent for row in rows):
        out.print(f"{MIXED_TEST} {MIXED_TEST_MEANING}")
    if not all(row.val_signer_independent for row in rows):
        out.print(MIXED_VAL_MEANING)


def _print_averages(found: "Sequence[Average]", shown: Sequence[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(average) for average in found], indent=2))
        return
    table = plain_table("choices", "data", "split", numbers=["runs", *shown])
    for average in found:
        choices = " ".join(f"{name}={value}" for name, value in average.choices.items())
        printed = [mean_cell(average, name) for name in shown]
        table.add_row(choices, average.data, tested_on(average), str(average.runs), *printed)
    _print_with_marks(table, found)
