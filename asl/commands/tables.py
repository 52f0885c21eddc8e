"""Tables at a terminal, or in a pipe."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from asl.terminal import printable

PIPE_WIDTH = 200


class _Literal(Console):
    """Prints names as they are, without what a terminal would obey."""

    def render_str(self, text: str, **options: Any) -> Text:  # type: ignore[override]
        return super().render_str(printable(text), **options)


def console() -> Console:
    """As wide as the terminal; a pipe takes longer lines. `[b]` is no markup in a name."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return _Literal(width=width, markup=False, emoji=False)


def plain_table(*texts: str, numbers: Sequence[str] = ()) -> Table:
    """A table without lines: columns of text, then columns of numbers."""
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(texts):
        table.add_column(heading, overflow="fold", min_width=8 if place else 20)
    for heading in numbers:
        table.add_column(heading.replace("/", "/\n"), justify="right", no_wrap=True)
    return table
