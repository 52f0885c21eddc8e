"""asl runs: tracked runs, best first."""

import argparse
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from asl.commands.settings import tracking_settings

NOT_INDEPENDENT = "†"


def main(arguments: Sequence[str]) -> None:
    """Print the table, or with --json a list of objects."""
    parser = argparse.ArgumentParser(
        "asl runs", description="Tracked runs, best first. tracking.uri=… names another store."
    )
    parser.add_argument("--metric", help="rank by this metric (default test/f1, else val/f1)")
    parser.add_argument("--data", help="only runs on this data set")
    parser.add_argument("--split", help="only runs whose protocol starts with this")
    parser.add_argument("--limit", type=int, default=None, help="at most so many runs")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("overrides", nargs="*", help="tracking.uri=…")
    options = parser.parse_args(arguments)

    from asl.commands.parts import tracker
    from asl.tracking.find import find_runs

    store = tracker(tracking_settings(options.overrides))
    runs = find_runs(store, options.metric, options.data, options.split)[: options.limit]
    if options.json:
        print(json.dumps([run.as_json() for run in runs], indent=2))
    elif not runs:
        print("no runs yet; `asl train` makes one")
    else:
        _print_table(runs, options.metric)


def _print_table(runs: Sequence, metric: str | None) -> None:  # type: ignore[type-arg]
    shown = ["test/accuracy", "test/f1", "val/accuracy", "val/f1"]
    if metric and metric not in shown:
        shown.insert(0, metric)
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "status", "data", "split"):
        table.add_column(heading, overflow="fold")
    for heading in shown:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("id", no_wrap=True)
    for run in runs:
        mark = "" if run.tags.get("signer_independent") != "false" else f" {NOT_INDEPENDENT}"
        values = [f"{run.metrics[m]:.4f}" if m in run.metrics else "" for m in shown]
        table.add_row(run.name, run.status, run.data, run.split + mark, *values, run.run_id)
    console = Console()
    console.print(table)
    if any(run.tags.get("signer_independent") == "false" for run in runs):
        console.print(f"{NOT_INDEPENDENT} not signer-independent: signers stand on both sides")
    if any(run.tags.get("val_signer_independent") == "false" for run in runs):
        console.print(
            "val/ numbers of some runs come from training signers: see the tag val_protocol"
        )
