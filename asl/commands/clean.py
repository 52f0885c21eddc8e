"""asl clean: list the checkpoints that nobody needs any more, and remove them with --remove."""

import argparse
from collections.abc import Sequence

from asl.commands.tables import console, plain_table
from asl.config.compose import tracking_settings


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "asl clean",
        description="Checkpoints of failed, killed, pruned and superseded runs. A killed run "
        "without one begins anew when it is resumed. Those of registered models and of the best "
        "runs stay, and so do all metrics.",
    )
    parser.add_argument("--remove", action="store_true", help="remove them; otherwise list them")
    parser.add_argument("overrides", nargs="*", help="tracking.uri=…")
    options = parser.parse_args(arguments)

    from asl.tracking.clean import removable, remove
    from asl.tracking.store import open_tracker

    tracker = open_tracker(tracking_settings(options.overrides))
    found = removable(tracker)
    table = plain_table("run", "why", numbers=["MB"])
    for each in found:
        table.add_row(each.run.name, each.reason, f"{each.size / 1e6:.2f}")
    if found:
        console().print(table)
    if options.remove:
        remove(tracker, found)
    total = f"{sum(each.size for each in found) / 1e6:.2f} MB of {len(found)} runs"
    hint = "; nothing was removed, --remove does it" if found else ""
    print(f"removed: {total}" if options.remove else f"checkpoints not needed: {total}{hint}")
