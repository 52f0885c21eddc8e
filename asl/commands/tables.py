"""Tables at a terminal, or in a pipe."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 200


def console() -> Console:
    """As wide as the terminal; a pipe takes longer lines.

    Names of runs, signs and signers are printed as they are: `[b]` is no markup in them.
    """
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, markup=False, emoji=False)


def plain_table(*texts: str, numbers: Sequence[str] = ()) -> Table:
    """A table without lines: columns of text, then columns of numbers."""
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(texts):
        table.add_column(heading, overflow="fold", min_width=8 if place else 20)
    for heading in numbers:
        table.add_column(heading.replace("/", "/\n"), justify="right", no_wrap=True)
    return table
